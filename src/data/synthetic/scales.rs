//! `sc-synthetic`: pictures like those of fish scales, whose class is the number of closed growth rings, 0 to 4.
//!
//! A scale grows outwards from its focus by fine ridges (circuli); where growth pauses once a year, a ring (annulus)
//! stays, bright where the light falls in from the side.
//! A fish grows less every year, so its rings lie closer and closer; a younger one has the inner ones. Beside them there may
//! be a false check: a piece of a ring that does not close and does not count. Focus, outline, growth, circuli, lighting,
//! contrast and noise are drawn apart from the class.

use super::{Picture, SIDE, bump, generate as generate_set, per_class, step};
use crate::data::Split;
use crate::error::Result;
use crate::random::Sequence;
use std::f64::consts::{PI, TAU};

const CLASSES: usize = 5;
pub(in crate::data) const IMAGES_PER_CLASS: usize = 530;
/// This set's part of the counter, for training and for testing.
const PARTS: [u32; 2] = [2, 3];

/// Of the way from the focus to the outline, the scale of a hatched fish takes this share, and that of one of `YEARS` years
/// the other; each year's ring lies so far beside where growth puts it at most.
const HATCHED: f64 = 0.12;
const GROWN: f64 = 0.9;
const YEARS: i32 = 5;
const ASIDE: f64 = 0.01;

/// 530 training and 106 test images of 100 x 100 pixels of each class; the class is the number of rings.
pub(in crate::data) fn generate(seed: u64) -> Result<Split> {
    generate_set("sc-synthetic", CLASSES, per_class(IMAGES_PER_CLASS), PARTS, seed, |class, sequence, pixels| {
        Scale::draw(class, sequence).picture().develop(sequence, pixels);
    })
}

/// Everything that is drawn of one scale.
struct Scale {
    /// Column and row of the focus.
    focus: [f64; 2],
    /// Pixels from the focus to the outline, without its waves.
    radius: f64,
    /// Sine and cosine of the angle of the long axis, and how much longer it is.
    tilt: [f64; 2],
    stretch: f64,
    /// The outline's waves, as cosine and sine part: one a turn (an off-centre focus), two, three ...
    waves: [[f64; 2]; 4],
    circuli: Circuli,
    rings: Vec<Ring>,
    /// Direction and strength of the light, and brightness of the ground.
    light: (f64, f64),
    ground: f64,
}

/// A place seen from the focus.
struct ScalePoint {
    /// How far away it is.
    pixels: f64,
    /// How far away the outline is in that direction.
    outline: f64,
    /// Cosine and sine of its angle to the long axis.
    direction: [f64; 2],
}

/// The fine ridges.
struct Circuli {
    count: f64,
    phase: f64,
    strength: f64,
}

/// A ring, or a false check.
struct Ring {
    /// Share of the way from the focus to the outline.
    place: f64,
    strength: f64,
    /// Half its width in pixels.
    width: f64,
    /// Where it runs, as angles from and to; all around if there is none.
    arc: Option<(f64, f64)>,
}

impl Scale {
    fn draw(class: usize, sequence: &mut Sequence) -> Self {
        let middle = SIDE as f64 / 2.0;
        let focus = [(); 2].map(|()| middle + sequence.between(-2.0, 2.0));
        let waves = [0.06, 0.02, 0.02, 0.01].map(|most| {
            let (height, phase) = (sequence.between(0.0, most), sequence.between(0.0, TAU));
            [height * phase.cos(), height * phase.sin()]
        });
        let growth = sequence.between(0.78, 0.82);
        let ring = |place: f64, sequence: &mut Sequence| Ring {
            place: place + sequence.between(-ASIDE, ASIDE),
            strength: sequence.between(1.9, 2.8),
            width: sequence.between(1.4, 2.0),
            arc: None,
        };
        let mut rings: Vec<Ring> = (1i32..).take(class).map(|year| ring(place(growth, year), sequence)).collect();
        if sequence.below(2) == 1 {
            let year = sequence.below(YEARS as u32 - 1) as i32;
            let between = f64::midpoint(place(growth, year), place(growth, year + 1));
            let start = sequence.between(0.0, TAU);
            let arc = Some((start, start + sequence.between(0.2 * PI, 0.5 * PI)));
            rings.push(Ring { strength: sequence.between(1.2, 1.8), arc, ..ring(between, sequence) });
        }
        Self {
            focus,
            radius: sequence.between(46.0, 51.0),
            tilt: sequence.between(0.0, PI).sin_cos().into(),
            stretch: sequence.between(1.0, 1.08),
            waves,
            circuli: Circuli {
                count: sequence.between(11.0, 15.0),
                phase: sequence.between(0.0, TAU),
                strength: sequence.between(0.25, 0.5),
            },
            rings,
            light: (sequence.between(0.0, TAU), sequence.between(0.0, 0.3)),
            ground: sequence.between(-2.0, -1.0),
        }
    }

    /// Where a place lies, seen from the focus.
    fn seen_from_focus(&self, x: f64, y: f64) -> ScalePoint {
        let (dx, dy) = (x - self.focus[0], y - self.focus[1]);
        let [sine, cosine] = self.tilt;
        let (along, across) = (dx * cosine + dy * sine, dy * cosine - dx * sine);
        let pixels = along.hypot(across).max(f64::MIN_POSITIVE);
        let direction = [along / pixels, across / pixels];
        // Cosine and sine of one, two, three ... times the angle, each from the one before.
        let [c, s] = direction;
        let mut turned = [1.0, 0.0];
        let mut waves = 0.0;
        for [cosine_part, sine_part] in self.waves {
            turned = [turned[0] * c - turned[1] * s, turned[0] * s + turned[1] * c];
            waves += cosine_part * turned[0] + sine_part * turned[1];
        }
        // An ellipse: the same way has fewer pixels across the long axis.
        let ellipse = 1.0 / (c / self.stretch).hypot(s * self.stretch);
        ScalePoint { pixels, outline: self.radius * ellipse * (1.0 + waves), direction }
    }

    fn picture(&self) -> Picture {
        let (light, strength) = self.light;
        let (sine, cosine) = light.sin_cos();
        Picture::paint(|x, y| {
            let place = self.seen_from_focus(x, y);
            let Circuli { count, phase, strength: ridge } = self.circuli;
            let circuli = ridge * (TAU * count * place.pixels / place.outline + phase).cos();
            let rings: f64 = self.rings.iter().map(|ring| ring.brightness(&place)).sum();
            let inside = 1.0 - step(place.pixels, place.outline, 1.5);
            let middle = SIDE as f64 / 2.0;
            let lit = strength * ((x - middle) * cosine + (y - middle) * sine) / middle;
            inside * (circuli + rings) + (1.0 - inside) * self.ground + lit
        })
    }
}

impl Ring {
    /// What the ring adds at a place: a bright line between two dark ones, which together are neither bright nor dark.
    fn brightness(&self, place: &ScalePoint) -> f64 {
        let distance = (place.pixels - self.place * place.outline) / self.width;
        if distance.abs() > 5.0 {
            return 0.0;
        }
        let line = (1.0 - distance * distance) * bump(distance, 1.0);
        let shown = self.arc.map_or(1.0, |(from, to)| {
            let [cosine, sine] = place.direction;
            let along = (sine.atan2(cosine) - from).rem_euclid(TAU);
            step(along, 0.0, 0.15) * (1.0 - step(along, to - from, 0.15))
        });
        self.strength * shown * line
    }
}

/// How far out the ring of a year lies if each year's growth is `growth` times that of the year before; year 0 is the scale of
/// a hatched fish.
fn place(growth: f64, year: i32) -> f64 {
    HATCHED + (GROWN - HATCHED) * (1.0 - growth.powi(year)) / (1.0 - growth.powi(YEARS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// The pixel next to a place, if the place is in the picture.
    fn pixel(pixels: &[u8], x: f64, y: f64) -> Option<f64> {
        let index = |place: f64| (0.0..SIDE as f64 - 0.5).contains(&place).then_some(place.round() as usize);
        Some(f64::from(pixels[index(y)? * SIDE + index(x)?]))
    }

    /// How much brighter the line at a share of the way to the outline is than what lies on both sides of it: the quarter
    /// of the directions in which that is least says what holds all around.
    fn brightness(scale: &Scale, pixels: &[u8], share: f64) -> f64 {
        const SECTORS: usize = 16;
        const RAYS: usize = 8;
        let mut sectors = Vec::new();
        for sector in 0..SECTORS {
            let found = (0..RAYS).filter_map(|ray| {
                let (sine, cosine) = (TAU * (sector * RAYS + ray) as f64 / (SECTORS * RAYS) as f64).sin_cos();
                let outline = scale.seen_from_focus(scale.focus[0] + cosine, scale.focus[1] + sine).outline;
                let at = |away: f64| {
                    let distance = share * outline + away;
                    pixel(pixels, scale.focus[0] + distance * cosine, scale.focus[1] + distance * sine)
                };
                Some(at(0.0)? - 0.5 * (at(-2.6)? + at(2.6)?))
            });
            let found: Vec<f64> = found.collect();
            if found.len() == RAYS {
                sectors.push(found.iter().sum::<f64>() / RAYS as f64);
            }
        }
        sectors.sort_by(f64::total_cmp);
        sectors.get(sectors.len() / 4).copied().unwrap_or(0.0)
    }

    /// Counts the closed rings in the pixels: the peaks of brightness on the way to the outline that are higher than those
    /// of circuli. Where outline and focus lie, it is told; where rings are, it is not.
    fn count_rings(scale: &Scale, pixels: &[u8], contrast: f64) -> usize {
        let profile: Vec<f64> = (15..95).map(|share| brightness(scale, pixels, f64::from(share) / 100.0)).collect();
        let is_peak = |&at: &usize| {
            let near = &profile[at.saturating_sub(4)..profile.len().min(at + 5)];
            profile[at] > 1.5 * contrast && near.iter().all(|&other| other <= profile[at])
        };
        (0..profile.len()).filter(is_peak).count()
    }

    fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
        let mean = values.clone().sum::<f64>() / (SIDE * SIDE) as f64;
        (values.map(|value| (value - mean).powi(2)).sum::<f64>() / (SIDE * SIDE) as f64).sqrt()
    }

    #[test]
    fn the_rings_can_be_counted_in_the_pixels() {
        let mut right = 0;
        const IMAGES: usize = 500;
        for image in 0..IMAGES {
            let class = image % CLASSES;
            let mut sequence = Sequence::new(3, Stream::Check, image as u32, 0);
            let scale = Scale::draw(class, &mut sequence);
            let mut pixels = vec![0; SIDE * SIDE];
            let painted = deviation(scale.picture().0.iter().copied());
            scale.picture().develop(&mut sequence, &mut pixels);
            let contrast = deviation(pixels.iter().map(|&pixel| f64::from(pixel))) / painted;
            right += usize::from(count_rings(&scale, &pixels, contrast) == class);
        }
        assert!(right * 10 > IMAGES * 8, "{right} of {IMAGES}");
    }

    #[test]
    fn rings_lie_closer_every_year_and_a_younger_fish_has_the_inner_ones() {
        for image in 0..100 {
            let mut sequence = Sequence::new(3, Stream::Check, image, 0);
            let class = image as usize % CLASSES;
            let scale = Scale::draw(class, &mut sequence);
            let closed = scale.rings.iter().filter(|ring| ring.arc.is_none());
            let places: Vec<f64> = [HATCHED].into_iter().chain(closed.map(|ring| ring.place)).collect();
            assert_eq!(places.len(), class + 1);
            assert!(scale.rings.len() <= class + 1 && places.iter().all(|place| *place < 0.95));
            let grown: Vec<f64> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(grown.windows(2).all(|pair| pair[1] < pair[0] + 4.0 * ASIDE), "{places:?}");
        }
    }

    #[test]
    fn a_ring_is_neither_dark_nor_bright_on_the_whole() {
        let ring = Ring { place: 0.5, strength: 2.0, width: 1.5, arc: None };
        let at = |pixels: f64| ScalePoint { pixels, outline: 40.0, direction: [1.0, 0.0] };
        let along: Vec<f64> = (0..4000).map(|place| ring.brightness(&at(f64::from(place) * 0.01))).collect();
        let (sum, most) = (along.iter().sum::<f64>() * 0.01, along.iter().fold(0.0f64, |most, value| most.max(*value)));
        assert!(sum.abs() < 1e-3, "{sum}");
        assert!((most - 2.0).abs() < 1e-3, "{most}");
    }
}
