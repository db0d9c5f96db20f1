//! Operating points of one or more layers together, each with a given number of weights removed: a score, and an allocation.

use super::Method;
use super::allocation::{Amount, Scope};
use super::masks::{Mask, RemovalOrder, by_stability};
use super::operating_points::{Numbers, OperatingPoint};
use super::score::{Score, Scores};
use crate::error::{Error, Result};
use crate::network::{Part, Selection};
use std::collections::BTreeMap;

/// What is asked of several layers.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The score: settle, hold, hold-input, magnitude, wanda, random, or stability.
    pub method: Method,
    /// Among which weights those that go are chosen.
    pub scope: Scope,
    /// Window of the criteria that have one, among those of the envelope.
    pub window: u32,
    /// Tolerance of magnitude stability, among those that were counted.
    pub tolerance: f64,
    /// Whether settle and hold remove frozen weights before all others.
    pub frozen_first: bool,
    /// How many weights go, at each point.
    pub removed: &'a [usize],
}

/// The points of all replicas for a `request`, replica by replica. `norms` are for each replica and part of the selection the norms
/// of its inputs; only the scores that need them read them.
///
/// Magnitude stability has only the points that its thresholds give: for each number asked the threshold whose number is nearest,
/// by their ratio of what is kept.
///
/// Fails as [`Scores::masks`] does, and with [`Error::Usage`] where the method has no score or needs norms that are missing.
pub fn points(
    request: &Request<'_>,
    numbers: &Numbers<'_>,
    selection: &Selection,
    norms: &[Vec<Vec<f32>>],
) -> Result<Vec<OperatingPoint>> {
    let &Request { method, window, .. } = request;
    let score = Score::of_method(method, window, !request.frozen_first);
    let mut points = Vec::new();
    for replica in 0..numbers.history.shape().replicas {
        match (method, score) {
            (_, Some(score)) => {
                points.extend(by_score(score, request, numbers, selection, norms.get(replica), replica)?);
            }
            (Method::Stability, None) => points.extend(nearest_thresholds(request, numbers, replica)),
            (Method::Random, None) => {
                let order = RemovalOrder::random(numbers.seed, replica as u32, selection.weights());
                let point =
                    |&removed| OperatingPoint { replica, kept: order.mask(removed), ..OperatingPoint::default() };
                points.extend(request.removed.iter().map(point));
            }
            (_, None) => {
                return Err(Error::Usage(format!(
                    "{method} gives weights no score that layers could be compared by; use magnitude, hold, settle or wanda"
                )));
            }
        }
    }
    Ok(points)
}

fn by_score(
    score: Score,
    request: &Request<'_>,
    numbers: &Numbers<'_>,
    selection: &Selection,
    norms: Option<&Vec<Vec<f32>>>,
    replica: usize,
) -> Result<Vec<OperatingPoint>> {
    let &Request { scope, removed, .. } = request;
    let of_part = |(place, part): (usize, &Part)| {
        score.of_part(numbers, part, replica, norms.and_then(|norms| norms.get(place)).map(Vec::as_slice))
    };
    let scores: Vec<Scores> = selection.parts().iter().enumerate().map(of_part).collect::<Result<_>>()?;
    let amounts: Vec<Amount> = removed.iter().map(|&removed| Amount::Count(removed)).collect();
    let point = |masks: Vec<Vec<Mask>>| {
        let kept: Mask = masks.iter().flatten().flat_map(|mask| mask.iter().copied()).collect();
        OperatingPoint { replica, window: score.window(), kept, ..OperatingPoint::default() }
    };
    Ok(Scores::masks(&scores, scope, &amounts)?.into_iter().map(point).collect())
}

/// For each number asked the nearest threshold of magnitude stability, each once.
fn nearest_thresholds(request: &Request<'_>, numbers: &Numbers<'_>, replica: usize) -> Vec<OperatingPoint> {
    let stability = numbers.stability;
    let Some(tolerance) = stability.tolerances.iter().position(|&tolerance| tolerance == request.tolerance) else {
        return Vec::new();
    };
    let counts = stability.of_replica(tolerance, numbers.history, replica);
    let epochs = numbers.history.shape().epochs as u32;
    let mut kept_at: BTreeMap<u32, usize> = BTreeMap::new();
    for threshold in 1..=epochs {
        kept_at.insert(threshold, counts.iter().filter(|&&count| count >= threshold).count());
    }
    let mut chosen = Vec::new();
    for &removed in request.removed {
        let asked = (counts.len() - removed).max(1) as f64;
        let distance = |kept: usize| ((kept.max(1) as f64 / asked).ln()).abs();
        let nearest = kept_at.iter().min_by(|a, b| distance(*a.1).total_cmp(&distance(*b.1)));
        chosen.extend(nearest.map(|(&threshold, _)| threshold));
    }
    chosen.sort_unstable();
    chosen.dedup();
    let point = |threshold| OperatingPoint {
        replica,
        tolerance: Some(request.tolerance),
        threshold: Some(threshold),
        kept: by_stability(counts, threshold),
        ..OperatingPoint::default()
    };
    chosen.into_iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, HistoryShape};
    use crate::network::Architecture;
    use crate::stability::{History, Reading, Stability, WindowedEnvelope};

    /// A network of 4 pixels, 2 hidden layers of 2 units and 2 classes: 8 + 4 + 4 weights. Weight w of epoch t is `w + 1`, but
    /// the first of each layer was near 0 after the first epoch.
    fn with_numbers(check: impl FnOnce(&Numbers<'_>, &Selection)) {
        let architecture = Architecture::dnn(2, 2, [2; 2], 2);
        let selection = Selection::all(&architecture);
        let weight = |epoch: usize, w: usize| {
            let is_first = [0, 8, 12].contains(&w);
            if epoch == 0 && is_first { 0.5 } else { (w + 1) as f32 }
        };
        let epochs = (0..3).flat_map(|epoch| (0..16).map(move |w| weight(epoch, w))).collect();
        let history = History::new(HistoryShape { epochs: 3, replicas: 1, weight_count: 16 }, epochs).unwrap();
        let mut engine = Engine::cpu(Some(1)).unwrap();
        let stability = Stability::count(&mut engine, &history, &[0.03], Reading::default()).unwrap();
        let envelope = WindowedEnvelope::new(&mut engine, &history, &[2, 3]).unwrap();
        let numbers =
            Numbers { history: &history, stability: &stability, envelope: &envelope, seed: 1, sparsities: &[] };
        check(&numbers, &selection);
    }

    fn gone(
        request: &Request<'_>,
        numbers: &Numbers<'_>,
        selection: &Selection,
        norms: &[Vec<Vec<f32>>],
    ) -> Vec<usize> {
        let points = points(request, numbers, selection, norms).unwrap();
        (0..16).filter(|&weight| !points[0].kept[weight]).collect()
    }

    #[test]
    fn scores_and_allocations_combine() {
        with_numbers(|numbers, selection| {
            let request = Request {
                method: Method::Magnitude,
                scope: Scope::Global,
                window: 3,
                tolerance: 0.03,
                frozen_first: false,
                removed: &[4],
            };
            assert_eq!(gone(&request, numbers, selection, &[]), [0, 1, 2, 3]);
            let layer = Request { scope: Scope::Layer, ..request };
            assert_eq!(gone(&layer, numbers, selection, &[]), [0, 1, 8, 12], "a quarter of each");
            let hold = Request { method: Method::Hold, ..request };
            assert_eq!(gone(&hold, numbers, selection, &[]), [0, 1, 8, 12], "what was near 0 once, then the smallest");
            // The pixels of the first layer are brighter than all else.
            let norms = vec![vec![vec![100.0; 4], vec![1.0; 2], vec![1.0; 2]]];
            let wanda = Request { method: Method::Wanda, ..request };
            assert_eq!(gone(&wanda, numbers, selection, &norms), [8, 9, 10, 12], "the last of a layer stays");
            let lost = Request { method: Method::HoldInput, ..request };
            assert_eq!(gone(&lost, numbers, selection, &norms), [8, 9, 10, 12]);
            let settle = Request { method: Method::Settle, removed: &[3], ..request };
            assert_eq!(gone(&settle, numbers, selection, &[]), [0, 8, 12], "what moved most");
            let random = Request { method: Method::Random, removed: &[5], ..request };
            assert_eq!(gone(&random, numbers, selection, &[]).len(), 5);
        });
    }

    #[test]
    fn stability_gives_only_the_points_of_its_thresholds() {
        with_numbers(|numbers, selection| {
            let request = Request {
                method: Method::Stability,
                scope: Scope::Global,
                window: 3,
                tolerance: 0.03,
                frozen_first: false,
                removed: &[3, 4, 8],
            };
            // Thresholds 1 and 2 remove nothing, 3 the three weights that moved.
            let found = points(&request, numbers, selection, &[]).unwrap();
            assert_eq!(found.iter().map(|point| point.threshold).collect::<Vec<_>>(), [Some(3)]);
            assert_eq!(found[0].kept.iter().filter(|&&kept| !kept).count(), 3);
        });
    }
}
