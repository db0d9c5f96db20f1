//! A network's way from dense to its smallest size, stage by stage.

use super::{PrunedNetwork, Surgery};
use crate::engine::{Engine, Watch};
use crate::error::Result;
use crate::pruning::surgeon::Removal;
use std::time::{Duration, Instant};

/// How long the parts of cutting in stages took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Importance, Gram matrices and paths.
    pub paths: Duration,
    /// Solving what is left anew, and polishing it.
    pub refit: Duration,
}

/// What one stage of a way takes away.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// How many of the chosen weights stay after it.
    pub kept: usize,
    /// What goes, one after the other; layers are counted among the chosen ones.
    pub removals: Vec<Removal>,
}

/// The way of a network from dense to its smallest size, stage by stage: cut anywhere it is nested. One layer alone has one
/// stage, at whose end nothing is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// The stages, one after the other.
    pub stages: Vec<Stage>,
}

/// How a network is cut stage by stage.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    /// How many of the chosen weights stay after each stage; they fall.
    pub stages: &'a [usize],
    /// How many of the chosen weights stay where a network is asked for.
    pub points: &'a [usize],
    /// What is known of the way from before.
    pub known: &'a Way,
    /// What weights are multiplied by before they are compared, see [`crate::pruning::surgeon::holding_ratios`].
    pub ratios: Option<&'a [Vec<f32>]>,
    /// Steps that all weights take together towards the dense logits after each cut, see [`Surgery::polish`].
    pub polish: u32,
}

impl Stage {
    /// What goes of it where `kept` weights stay, of `there` that were there before.
    fn cut(&self, there: usize, kept: usize, layers: usize) -> &[Removal] {
        // No layer loses its last weight, unless all go.
        let spared = if self.kept == 0 && kept > 0 { layers } else { 0 };
        &self.removals[..there.saturating_sub(kept).min(self.removals.len().saturating_sub(spared))]
    }
}

impl Surgery<'_> {
    /// The way of one layer alone: one order, to the end.
    ///
    /// Fails as [`Engine::paths`] does.
    pub fn way_of_layer(
        &self,
        engine: &mut Engine,
        layer: usize,
        ratios: Option<&[Vec<f32>]>,
        watch: &Watch<'_>,
    ) -> Result<Way> {
        let order = self.order(engine, &self.dense, &[layer], ratios, watch)?;
        Ok(Way { stages: vec![Stage { kept: 0, removals: order.cut(0).to_vec() }] })
    }

    /// Cuts `chosen` layers stage by stage: order, importance and Gram matrices anew from what the stage before left, as far
    /// as they are not known from before. `each` gets the network of each point, from the most weights to the fewest. What lies
    /// between two stages goes by the order that the later one is cut by, and what lies behind the last by one order more; so no
    /// point depends on which others are asked for.
    ///
    /// Fails as [`Engine::paths`] does.
    pub fn in_stages(
        &self,
        engine: &mut Engine,
        chosen: &[usize],
        course: Course<'_>,
        watch: &Watch<'_>,
        each: &mut dyn FnMut(usize, &PrunedNetwork) -> Result<()>,
    ) -> Result<(Way, StageTimes)> {
        let Course { stages, points, known, ratios, polish } = course;
        let mut times = StageTimes::default();
        let (mut way, mut network) = (Way::default(), self.dense.clone());
        let first = chosen.first().copied().unwrap_or(0);
        let mut points = points.to_vec();
        points.sort_unstable_by(|a, b| b.cmp(a));
        points.dedup();
        let mut points = points.into_iter().peekable();
        let start = Instant::now();
        let moments = self.moments(engine, first, watch)?;
        times.paths += start.elapsed();
        for (place, stage) in stages.iter().copied().map(Some).chain([None]).enumerate() {
            if points.peek().is_none() {
                break;
            }
            let start = Instant::now();
            let there = chosen.iter().map(|&index| network.kept[index].iter().filter(|&&kept| kept).count()).sum();
            let own = match known.stages.get(place).filter(|known| Some(known.kept) == stage) {
                Some(known) => known.clone(),
                None => {
                    let order = self.order_from(engine, &network, chosen, &moments, ratios, watch)?;
                    let kept = stage.unwrap_or(0);
                    Stage { kept, removals: order.cut(kept).to_vec() }
                }
            };
            times.paths += start.elapsed();
            let start = Instant::now();
            let mut cuts = Vec::new();
            while let Some(point) = points.next_if(|&point| stage.is_none_or(|stage| point > stage)) {
                cuts.push(point);
            }
            let beside = cuts.len();
            // Where nothing is asked for beyond, the stage itself is none to stop at.
            cuts.extend(stage.filter(|_| points.peek().is_some()));
            let kept = |&point: &usize| self.cut(&network, chosen, own.cut(there, point, chosen.len()));
            let mut solved =
                self.refit_from(engine, &network, first, &moments, cuts.iter().map(kept).collect(), watch)?;
            solved.iter_mut().try_for_each(|network| self.polish(engine, network, polish, watch))?;
            times.refit += start.elapsed();
            for (&point, network) in cuts.iter().zip(&solved[..beside]) {
                each(point, network)?;
            }
            if solved.len() > beside
                && let Some(last) = solved.pop()
            {
                network = last;
            }
            if let Some(stage) = stage {
                if points.next_if_eq(&stage).is_some() {
                    each(stage, &network)?;
                }
                way.stages.push(own);
            }
        }
        Ok((way, times))
    }
}
