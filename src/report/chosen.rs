//! The size that is chosen for a reader, by training images alone.

use super::digits::{percent, short};
use super::leading::Leading;
use crate::results::accuracy::CurvePoint;
use crate::results::summary::Summary;
use serde::Serialize;

/// A network is chosen that puts at least this share of the training images into the classes of the one that it was cut from.
const AGREEMENT: f64 = 0.99;

/// The smallest network that still classifies as before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// How many times smaller than before.
    pub smaller: f64,
    /// Share of training images that it puts into the same class as the network that it was cut from.
    pub agreement: f64,
    /// Its accuracy.
    pub accuracy: Summary,
    /// The same in per cent, as precise as it is known.
    #[serde(skip)]
    shown: String,
    /// Which weights it was cut from: `last` or `mean`.
    pub base: String,
}

impl Chosen {
    /// The smallest network that agrees often enough; if none does, the one that agrees most.
    pub(super) fn of(whole: &[Leading], images: usize) -> Option<Self> {
        let surgeon = whole.iter().find(|one| one.curve.points.iter().any(|point| point.agreement.is_some()))?;
        let found = |point: &CurvePoint| {
            Some(Chosen {
                smaller: point.smaller,
                agreement: point.agreement?,
                accuracy: point.accuracy,
                shown: percent(&point.accuracy, images),
                base: surgeon.curve.rule.clone(),
            })
        };
        let all: Vec<Chosen> = surgeon.curve.points.iter().filter_map(found).collect();
        let enough = all.iter().filter(|one| one.agreement >= AGREEMENT);
        let smallest = enough.max_by(|one, other| one.smaller.total_cmp(&other.smaller));
        smallest.or_else(|| all.iter().max_by(|one, other| one.agreement.total_cmp(&other.agreement))).cloned()
    }

    /// What to do next, and the command for it.
    pub(super) fn advice(&self, place: &str) -> (String, String) {
        let Self { smaller, agreement, shown, base, .. } = self;
        let size = short(*smaller);
        let agreement = format!("{:.1} %", 100.0 * agreement);
        if self.agreement >= AGREEMENT {
            let of = if base == "mean" { "averaged" } else { "trained" };
            (
                format!(
                    "Chosen for you, by training images alone: {size}x smaller, accuracy {shown} %, {agreement} keep the {of} \
                     network's class:"
                ),
                format!("holdfast prune {place} --criterion hold-surgeon --base {base} --smaller {size}"),
            )
        } else {
            (
                format!(
                    "No size is chosen: at {size}x smaller {agreement} of the training images keep their class, not {:.0} %. What \
                     can go without a loss:",
                    100.0 * AGREEMENT
                ),
                format!("holdfast compact {place}"),
            )
        }
    }
}
