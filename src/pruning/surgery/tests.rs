//! Tests of the surgeon on whole networks.

use super::*;
use crate::pruning::masks::RemovalOrder as ByMagnitude;

fn silent<R>(work: impl FnOnce(&Watch<'_>) -> R) -> R {
    work(&Watch::nobody())
}

fn architectures() -> [Architecture; 2] {
    let dnn = Architecture::dnn(8, 8, [7; 3], 3);
    [Architecture { convolutions: Architecture::paper_convolutions(2), ..dnn.clone() }, dnn]
}

fn numbers(first: u32, count: usize, scale: f64) -> Vec<f32> {
    let mut sequence = Sequence::new(5, Stream::Check, first, 7);
    (0..count).map(|_| sequence.between(-scale, scale) as f32).collect()
}

fn images(architecture: &Architecture) -> Vec<f32> {
    numbers(1, 200 * architecture.image_len(), 0.5).iter().map(|pixel| pixel + 0.5).collect()
}

fn logits(engine: &Engine, surgery: &Surgery<'_>, network: &PrunedNetwork) -> Vec<f32> {
    (0..surgery.layers.len()).fold(surgery.images.to_vec(), |input, index| {
        surgery.output(engine, index, &network.parameters, &input).unwrap()
    })
}

fn distance(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn stages_meet_their_sizes_nest_leave_exact_zeros_and_stay_closer_than_plain_cutting() {
    let mut engine = Engine::cpu(Some(2)).unwrap();
    for architecture in architectures() {
        let parameters = numbers(2, ParameterLayout::new(&architecture).parameters(), 0.8);
        let images = images(&architecture);
        let surgery = Surgery::new(&engine, &architecture, &parameters, &images, Settings::default()).unwrap();
        let chosen: Vec<usize> = (0..surgery.layers.len()).collect();
        let all: usize = surgery.dense.kept.iter().map(Vec::len).sum();
        let dense = logits(&engine, &surgery, surgery.dense());
        let mut before = surgery.dense().clone();
        let mut found = Vec::new();
        silent(|watch| {
            let kept = [1.5, 3.0].map(|size| surgery.kept_at(&chosen, size).unwrap());
            let course = Course { stages: &kept, points: &kept, known: &Way::default(), ratios: None, polish: 0 };
            surgery.in_stages(&mut engine, &chosen, course, watch, &mut |_, network| {
                found.push(network.clone());
                Ok(())
            })
        })
        .unwrap();
        for (network, size) in found.into_iter().zip([1.5, 3.0]) {
            let kept: usize = network.kept.iter().flatten().filter(|&&kept| kept).count();
            assert_eq!(kept, kept_when_smaller(all, size));
            for (place, kept) in surgery.layers.iter().zip(&network.kept) {
                let weights = &network.parameters[place.weights.clone()];
                assert!(weights.iter().zip(kept).all(|(&weight, &kept)| kept || weight == 0.0));
            }
            let nested = before.kept.iter().flatten().zip(network.kept.iter().flatten());
            assert!(nested.into_iter().all(|(&before, &now)| before || !now));
            // The same number of smallest weights, cut and nothing else.
            let ranges: Vec<Range<usize>> = surgery.layers.iter().map(|place| place.weights.clone()).collect();
            let magnitudes: Vec<f32> =
                ranges.iter().flat_map(|range| &parameters[range.clone()]).map(|weight| weight.abs()).collect();
            let mask = ByMagnitude::smallest_first(&magnitudes).mask(all - kept);
            let mut plain = surgery.dense().clone();
            let places = ranges.iter().flat_map(Range::clone).zip(mask.iter());
            places.filter(|&(_, &kept)| !kept).for_each(|(place, _)| plain.parameters[place] = 0.0);
            let [cut, solved] = [&plain, &network].map(|network| distance(&logits(&engine, &surgery, network), &dense));
            assert!(solved < cut / 2.0, "{size}: {solved} solved anew, {cut} cut");
            before = network;
        }
    }
}

#[test]
fn where_nothing_goes_the_weights_stay_and_one_layer_alone_is_cut_by_its_own_order() {
    let mut engine = Engine::cpu(Some(2)).unwrap();
    let [_, architecture] = architectures();
    let parameters = numbers(3, ParameterLayout::new(&architecture).parameters(), 0.8);
    let images = images(&architecture);
    let surgery = Surgery::new(&engine, &architecture, &parameters, &images, Settings::default()).unwrap();
    let focus = architecture.focus_layer();
    let order = silent(|watch| surgery.order(&mut engine, surgery.dense(), &[focus], None, watch)).unwrap();
    let half = surgery.cut(surgery.dense(), &[focus], order.cut(20));
    let cuts = vec![surgery.dense().kept.clone(), half.clone()];
    let networks = silent(|watch| surgery.refit_cuts(&mut engine, focus, cuts, watch)).unwrap();
    // Solved with a condition of 1 / ridge in single precision.
    let largest = parameters.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
    for (found, expected) in networks[0].parameters.iter().zip(&parameters) {
        assert!((found - expected).abs() <= 8.0 * f32::EPSILON * 8.0 / 1e-3 * largest, "{found} for {expected}");
    }
    assert_eq!(networks[1].kept[focus].iter().filter(|&&kept| kept).count(), 20);
    // One by one or together: the same bits.
    let alone = silent(|watch| surgery.refit_cuts(&mut engine, focus, vec![half], watch)).unwrap();
    assert_eq!(alone[0], networks[1]);
}

#[test]
fn a_known_way_gives_the_same_bits_and_no_point_depends_on_the_others() {
    let mut engine = Engine::cpu(Some(2)).unwrap();
    for architecture in architectures() {
        let parameters = numbers(4, ParameterLayout::new(&architecture).parameters(), 0.8);
        let images = images(&architecture);
        let surgery = Surgery::new(&engine, &architecture, &parameters, &images, Settings::default()).unwrap();
        let chosen: Vec<usize> = (0..surgery.layers.len()).collect();
        let [two, three, four, five] = [2.0, 3.0, 4.0, 5.0].map(|size| surgery.kept_at(&chosen, size).unwrap());
        let mut walk = |points: &[usize], known: &Way| {
            let mut found = Vec::new();
            let (way, _) = silent(|watch| {
                let course = Course { stages: &[two, four], points, known, ratios: None, polish: 0 };
                surgery.in_stages(&mut engine, &chosen, course, watch, &mut |kept, network| {
                    found.push((kept, network.clone()));
                    Ok(())
                })
            })
            .unwrap();
            (way, found)
        };
        let all = [three, five, two, four];
        let (way, found) = walk(&all, &Way::default());
        assert_eq!(found.iter().map(|(kept, _)| *kept).collect::<Vec<_>>(), [two, three, four, five]);
        assert_eq!(way.stages.iter().map(|stage| stage.kept).collect::<Vec<_>>(), [two, four]);
        assert_eq!(walk(&all, &way), (way.clone(), found.clone()));
        let begun = Way { stages: way.stages[..1].to_vec() };
        assert_eq!(walk(&all, &begun), (way.clone(), found.clone()));
        for one in &found {
            assert_eq!(walk(&[one.0], &way).1, std::slice::from_ref(one));
        }
    }
}

#[test]
fn impossible_requests_are_refused() {
    let engine = Engine::cpu(Some(1)).unwrap();
    let [_, architecture] = architectures();
    let parameters = numbers(3, ParameterLayout::new(&architecture).parameters(), 0.8);
    let none = Surgery::new(&engine, &architecture, &parameters, &[], Settings::default());
    assert_eq!(none.err().map(|error| error.exit_code()), Some(2));
    let images = images(&architecture);
    let surgery = Surgery::new(&engine, &architecture, &parameters, &images, Settings::default()).unwrap();
    let focus = architecture.focus_layer();
    let error = surgery.kept_at(&[focus], 100.0).unwrap_err();
    assert!(matches!(error, Error::Usage(ref text) if text.contains("100 times smaller")), "{error}");
    let too_many = vec![1.0; 3];
    assert!(Surgery::new(&engine, &architecture, &too_many, &images, Settings::default()).is_err());
}

#[test]
fn calibration_images_are_drawn_once_each_and_by_seed() {
    assert_eq!(calibration_images(5, 9, 1), [0, 1, 2, 3, 4]);
    let [one, other] = [1, 2].map(|seed| calibration_images(1000, 100, seed));
    assert!(one != other && one.windows(2).all(|pair| pair[0] < pair[1]) && one.len() == 100);
}

#[test]
fn images_that_tell_little_or_nothing_are_survived() {
    let [_, architecture] = architectures();
    let length = architecture.image_len();
    let layout = ParameterLayout::new(&architecture);
    let usual = numbers(6, layout.parameters(), 0.8);
    // No unit of the second layer ever fires.
    let mut dead = usual.clone();
    dead[layout.tensors[2].range()].fill(0.0);
    dead[layout.tensors[3].range()].fill(-1.0);
    let all = images(&architecture);
    let mut dark = all.clone();
    dark.chunks_exact_mut(length).for_each(|image| image[..length / 2].fill(0.0));
    let constant = vec![0.5; 50 * length];
    let cases: [(&str, &[f32], &[f32]); 6] = [
        ("one image", &usual, &all[..length]),
        ("fewer images than inputs", &usual, &all[..(length / 2) * length]),
        ("dead inputs", &usual, &dark),
        ("constant images", &usual, &constant),
        ("black images", &usual, &[0.0; 640]),
        ("a dead layer", &dead, &all),
    ];
    for (what, parameters, images) in cases {
        let mut engine = Engine::cpu(Some(2)).unwrap();
        let surgery = Surgery::new(&engine, &architecture, parameters, images, Settings::default()).unwrap();
        let chosen: Vec<usize> = (0..surgery.layers.len()).collect();
        let kept = [2.0, 4.0].map(|size| surgery.kept_at(&chosen, size).unwrap());
        let mut found = 0;
        silent(|watch| {
            let course = Course { stages: &kept, points: &kept, known: &Way::default(), ratios: None, polish: 0 };
            surgery.in_stages(&mut engine, &chosen, course, watch, &mut |kept, network| {
                let left = network.kept.iter().flatten().filter(|&&kept| kept).count();
                assert_eq!(left, kept, "{what}");
                assert!(network.parameters.iter().all(|parameter| parameter.is_finite()), "{what}");
                found += 1;
                Ok(())
            })
        })
        .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(found, 2, "{what}");
    }
    let mut engine = Engine::cpu(Some(1)).unwrap();
    let mut broken = all.clone();
    broken[3] = f32::NAN;
    let surgery = Surgery::new(&engine, &architecture, &usual, &broken, Settings::default()).unwrap();
    let error = silent(|watch| surgery.way_of_layer(&mut engine, 0, None, watch)).unwrap_err();
    assert!(matches!(error, Error::Data(_)) && error.to_string().contains("NaN"), "{error}");
}
