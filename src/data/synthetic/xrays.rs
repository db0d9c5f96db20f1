//! `xr-synthetic`: pictures like those of chest x-rays; in those of the second class there are opacities in the lungs.
//!
//! Shoulders, spine, lungs, ribs, heart, diaphragm and vessels are drawn apart from the class. The opacities are patches of
//! clouds, as pneumonia shows itself; nothing else differs. No picture is of a person, and none is fit for medicine.

use super::{Clouds, Picture, SIDE, bump, generate as generate_set, per_class, step};
use crate::data::Split;
use crate::error::Result;
use crate::random::Sequence;
use std::f64::consts::TAU;

pub(in crate::data) const IMAGES_PER_CLASS: usize = 500;
/// This set's part of the counter, for training and for testing.
const PARTS: [u32; 2] = [4, 5];

/// Without opacities, and with them: 500 training and 100 test images of 100 x 100 pixels of each.
pub(in crate::data) fn generate(seed: u64) -> Result<Split> {
    generate_set("xr-synthetic", 2, per_class(IMAGES_PER_CLASS), PARTS, seed, |class, sequence, pixels| {
        Chest::draw(class == 1, sequence).picture().develop(sequence, pixels);
    })
}

/// Everything that is drawn of one chest. Lengths are in halves of the picture, from its middle: x to the right, y down.
struct Chest {
    /// Shift of the middle, and magnification.
    shift: [f64; 2],
    zoom: f64,
    lungs: [Lung; 2],
    heart: Ellipse,
    /// Height of the first rib, distance of one from the next, slope outwards, and strength.
    ribs: [f64; 4],
    collarbones: f64,
    vessels: Clouds,
    tissue: Clouds,
    opacities: Vec<Opacity>,
    opacity_texture: Clouds,
}

/// One lung; the left of the picture has -1 as its side, the right 1.
struct Lung {
    side: f64,
    field: Ellipse,
    /// Height of the diaphragm under it.
    diaphragm: f64,
}

/// An ellipse with soft edges.
struct Ellipse {
    centre: [f64; 2],
    radii: [f64; 2],
    /// Sine and cosine of the angle of its first radius.
    tilt: [f64; 2],
    softness: f64,
}

/// A patch in a lung.
struct Opacity {
    centre: [f64; 2],
    width: f64,
    strength: f64,
}

impl Ellipse {
    /// 1 inside, 0 outside.
    fn at(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let [sine, cosine] = self.tilt;
        let (along, across) = ((dx * cosine + dy * sine) / self.radii[0], (dy * cosine - dx * sine) / self.radii[1]);
        1.0 - step(along.hypot(across), 1.0, self.softness)
    }
}

impl Lung {
    fn draw(side: f64, sequence: &mut Sequence) -> Self {
        let centre = [side * sequence.between(0.40, 0.47), sequence.between(-0.12, 0.0)];
        let field = Ellipse {
            centre,
            radii: [sequence.between(0.28, 0.35), sequence.between(0.62, 0.76)],
            tilt: (-side * sequence.between(0.03, 0.16)).sin_cos().into(),
            softness: 0.13,
        };
        Self { side, field, diaphragm: sequence.between(0.38, 0.52) }
    }

    /// 1 in the lung, 0 outside.
    fn at(&self, x: f64, y: f64) -> f64 {
        let from_top = x * self.side - 0.38;
        // The diaphragm is a dome; at its sides it falls off.
        let floor = self.diaphragm + 1.3 * from_top * from_top;
        self.field.at(x, y) * (1.0 - step(y, floor, 0.06))
    }
}

impl Chest {
    fn draw(opaque: bool, sequence: &mut Sequence) -> Self {
        let lungs = [-1.0, 1.0].map(|side| Lung::draw(side, sequence));
        let heart = Ellipse {
            centre: [sequence.between(0.08, 0.16), sequence.between(0.22, 0.34)],
            radii: [sequence.between(0.28, 0.40), sequence.between(0.22, 0.30)],
            tilt: sequence.between(0.3, 0.7).sin_cos().into(),
            softness: 0.16,
        };
        let opacities = if opaque { 2 + sequence.below(4) } else { 0 };
        let opacities = (0..opacities).map(|_| {
            let Ellipse { centre, radii, .. } = &lungs[sequence.below(2) as usize].field;
            let (radius, angle) = (0.75 * sequence.unit().sqrt(), sequence.between(0.0, TAU));
            Opacity {
                centre: [centre[0] + radii[0] * radius * angle.cos(), centre[1] + radii[1] * radius * angle.sin()],
                width: sequence.between(0.09, 0.20),
                strength: sequence.between(0.28, 0.50),
            }
        });
        let opacities = opacities.collect();
        Self {
            shift: [(); 2].map(|()| sequence.between(-0.08, 0.08)),
            zoom: sequence.between(0.92, 1.08),
            lungs,
            heart,
            ribs: [
                sequence.between(-0.78, -0.62),
                sequence.between(0.155, 0.19),
                sequence.between(0.10, 0.35),
                sequence.between(0.08, 0.15),
            ],
            collarbones: sequence.between(0.10, 0.22),
            vessels: Clouds::draw(sequence, 5.0),
            tissue: Clouds::draw(sequence, 14.0),
            opacities,
            opacity_texture: Clouds::draw(sequence, 6.0),
        }
    }

    fn picture(&self) -> Picture {
        Picture::paint(|column, row| {
            let middle = (SIDE - 1) as f64 / 2.0;
            let x = ((column - middle) / middle - self.shift[0]) / self.zoom;
            let y = ((row - middle) / middle - self.shift[1]) / self.zoom;
            let outwards = x.abs();
            // Shoulders slope down to the sides; above them is air, which is black.
            let body = step(y, -1.02 + 0.35 * outwards * outwards, 0.10) * (1.0 - step(outwards, 1.0, 0.08));
            let lung: f64 = self.lungs.iter().map(|lung| lung.at(x, y)).sum::<f64>().min(1.0);
            let heart = self.heart.at(x, y);
            let air = lung * (1.0 - 0.9 * heart);
            let spine = 0.22 * bump(x, 0.10);
            let bones = self.ribs(outwards, y) + self.collarbone(outwards, y);
            // Vessels spread from the roots of the lungs.
            let vessels = 0.10 * self.vessels.at(column, row) * bump(outwards - 0.2, 0.28) * bump(y - 0.05, 0.4);
            let root = 0.16 * bump(outwards - 0.17, 0.09) * bump(y - 0.02, 0.16);
            let opacity = air * self.opacity(x, y, column, row);
            let tissue = 0.78 + 0.03 * self.tissue.at(column, row);
            body * (tissue - 0.52 * air + spine + bones + air * vessels + root + 0.10 * heart + opacity)
        })
    }

    /// Bands that slope outwards, stronger over the lungs' outer halves.
    fn ribs(&self, outwards: f64, y: f64) -> f64 {
        let [first, distance, slope, strength] = self.ribs;
        let bent = y - first - slope * outwards - 0.9 * (outwards - 0.15) * (outwards - 0.15);
        let rib = (bent / distance).round().clamp(0.0, 7.0);
        strength * bump(bent - rib * distance, 0.028) * step(outwards, 0.12, 0.05) * (1.0 - step(outwards, 0.84, 0.06))
    }

    fn collarbone(&self, outwards: f64, y: f64) -> f64 {
        let line = y + 0.62 + 0.22 * outwards;
        self.collarbones * bump(line, 0.035) * step(outwards, 0.08, 0.04) * (1.0 - step(outwards, 0.80, 0.06))
    }

    /// How much the opacities brighten the lung at a place; column and row are those of the pixel.
    fn opacity(&self, x: f64, y: f64, column: f64, row: f64) -> f64 {
        let patches: f64 = self
            .opacities
            .iter()
            .map(|Opacity { centre, width, strength }| strength * bump((x - centre[0]).hypot(y - centre[1]), *width))
            .sum();
        (patches * (1.0 + 0.35 * self.opacity_texture.at(column, row))).clamp(0.0, 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn opacities_brighten_the_lungs_and_nothing_else() {
        let mut sequence = Sequence::new(1, Stream::Check, 0, 0);
        let mut chest = Chest::draw(true, &mut sequence);
        let with = chest.picture().0;
        chest.opacities.clear();
        let without = chest.picture().0;
        let middle = (SIDE - 1) as f64 / 2.0;
        let mut brightened = 0;
        for (pixel, (with, without)) in with.iter().zip(&without).enumerate() {
            let place = |pixel: usize, axis: usize| ((pixel as f64 - middle) / middle - chest.shift[axis]) / chest.zoom;
            let (x, y) = (place(pixel % SIDE, 0), place(pixel / SIDE, 1));
            let lung: f64 = chest.lungs.iter().map(|lung| lung.at(x, y)).sum();
            assert!(*with >= without - 1e-12 && with - without <= 0.5 * lung + 1e-12);
            brightened += usize::from(with - without > 0.1);
        }
        assert!(brightened > 100, "{brightened} pixels");
    }
}
