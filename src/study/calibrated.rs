//! Networks of a run that are cut with the help of its calibration images: by scores that know the inputs, by a surgeon, and
//! with what stays solved anew.

use super::Control;
use crate::engine::{Engine, Watch};
use crate::error::Result;
use crate::network::{Architecture, Layer, ParameterLayout, Selection};
use crate::pruning::masks::Mask;
use crate::pruning::surgery::{PrunedNetwork, Settings, Surgery};

/// The networks of all replicas, and which of their layers are pruned.
pub struct CalibratedNetworks<'a> {
    selection: &'a Selection,
    layers: Vec<usize>,
    surgeries: Vec<Surgery<'a>>,
}

/// What the holding surgeon multiplies weights by, `[replica][tensor]`.
pub type Ratios = Vec<Vec<Vec<f32>>>;

impl<'a> CalibratedNetworks<'a> {
    /// Runs calibration `features` `[image, feature]` through the networks of these parameters.
    ///
    /// Fails as [`Surgery::new`] does.
    pub fn new(
        engine: &Engine,
        architecture: &'a Architecture,
        selection: &'a Selection,
        parameters: &[Vec<f32>],
        features: &'a [f32],
        settings: Settings,
    ) -> Result<Self> {
        let layout = ParameterLayout::new(architecture);
        let layers = selection.parts().iter().map(|part| Layer::of_part(&layout, part)).collect();
        let surgery = |parameters: &Vec<f32>| Surgery::new(engine, architecture, parameters, features, settings);
        let surgeries: Vec<Surgery<'a>> = parameters.iter().map(surgery).collect::<Result<_>>()?;
        Ok(Self { selection, layers, surgeries })
    }

    /// The norms of the inputs of a part of the selection, `[replica, input]`.
    ///
    /// Fails as [`Surgery::input_norms`] does.
    pub fn norms(&self, engine: &Engine, part: usize) -> Result<Vec<f32>> {
        let of_replica = |surgery: &Surgery<'_>| surgery.input_norms(engine, self.layers[part]);
        Ok(self.surgeries.iter().map(of_replica).collect::<Result<Vec<_>>>()?.concat())
    }

    /// How many weights of the selection stay where the whole network becomes `size` times smaller.
    ///
    /// Fails as [`Surgery::kept_at`] does.
    pub fn kept_at(&self, size: f64) -> Result<usize> {
        self.surgeries.first().map_or(Ok(0), |surgery| surgery.kept_at(&self.layers, size))
    }

    /// What stays of each replica at each of the points, `masks` `[point][part][replica]`, solved anew: `[point][replica]`.
    ///
    /// Fails as [`Surgery::check_work`] and [`Surgery::refit_cuts`] do.
    pub fn refit(
        &self,
        engine: &mut Engine,
        masks: &[Vec<Vec<Mask>>],
        control: Control<'_>,
    ) -> Result<Vec<Vec<PrunedNetwork>>> {
        self.check_work()?;
        let first = self.selection.first_layer();
        let total = self.surgeries.len() as u64;
        let mut points = vec![Vec::new(); masks.len()];
        control.stage("solve what stays anew", total, "networks", |watch| {
            for (replica, surgery) in self.surgeries.iter().enumerate() {
                let cut = |point: &Vec<Vec<Mask>>| {
                    let mut kept = surgery.dense().kept.clone();
                    for (&layer, masks) in self.layers.iter().zip(point) {
                        kept[layer].copy_from_slice(&masks[replica]);
                    }
                    kept
                };
                let silent = Watch { stop: watch.stop, progress: &|_| {} };
                let networks = surgery.refit_cuts(engine, first, masks.iter().map(cut).collect(), &silent)?;
                points.iter_mut().zip(networks).for_each(|(point, network)| point.push(network));
                (watch.progress)(1);
            }
            Ok(points)
        })
    }

    /// A surgeon cuts each replica so that `kept` weights of the selection stay, for each point: `[point][replica]`. Where several
    /// layers take part it goes by the `stages`, numbers of weights too; one layer is cut by one order.
    ///
    /// Fails as [`Surgery::check_work`] and [`Surgery::in_stages`] do.
    pub fn surgeon(
        &self,
        engine: &mut Engine,
        kept: &[usize],
        stages: &[usize],
        ratios: Option<&Ratios>,
        control: Control<'_>,
    ) -> Result<Vec<Vec<PrunedNetwork>>> {
        self.check_work()?;
        let total = self.surgeries.len() as u64;
        let mut points = vec![Vec::new(); kept.len()];
        control.stage("cut by the surgeon", total, "networks", |watch| {
            let silent = Watch { stop: watch.stop, progress: &|_| {} };
            for (replica, surgery) in self.surgeries.iter().enumerate() {
                let ratios = ratios.map(|ratios| ratios[replica].as_slice());
                let mut found = Vec::new();
                if let [layer] = self.layers[..] {
                    let order = surgery.order(engine, surgery.dense(), &[layer], ratios, &silent)?;
                    let cut = |&kept: &usize| {
                        let mut network = surgery.dense().clone();
                        surgery.cut(&mut network, &[layer], &order, kept);
                        network.kept
                    };
                    let networks = surgery.refit_cuts(engine, layer, kept.iter().map(cut).collect(), &silent)?;
                    found.extend(kept.iter().copied().zip(networks));
                } else {
                    let path = falling(kept, stages);
                    let mut place = path.iter();
                    surgery.in_stages(engine, &self.layers, &path, ratios, &silent, &mut |network| {
                        let own = place.next().filter(|own| kept.contains(own));
                        found.extend(own.map(|&own| (own, network.clone())));
                        Ok(())
                    })?;
                }
                for (point, &kept) in points.iter_mut().zip(kept) {
                    point.extend(found.iter().find(|(own, _)| *own == kept).map(|(_, network)| network.clone()));
                }
                (watch.progress)(1);
            }
            Ok(points)
        })
    }

    fn check_work(&self) -> Result<()> {
        self.surgeries.first().map_or(Ok(()), |surgery| surgery.check_work(&self.layers))
    }

    /// The masks of a network of the run, one for each part of the selection.
    pub fn masks(&self, network: &PrunedNetwork) -> Vec<Mask> {
        self.layers.iter().map(|&layer| network.kept[layer].as_slice().into()).collect()
    }
}

/// All numbers of weights that are stopped at, from the most to the fewest: those asked for, and the stages above the least of them.
fn falling(kept: &[usize], stages: &[usize]) -> Vec<usize> {
    let least = kept.iter().min().copied().unwrap_or(0);
    let mut path: Vec<usize> =
        kept.iter().copied().chain(stages.iter().copied().filter(|&stage| stage > least)).collect();
    path.sort_unstable_by(|a, b| b.cmp(a));
    path.dedup();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surgeon_stops_at_the_stages_on_its_way_and_no_further_than_asked() {
        assert_eq!(falling(&[250, 600], &[500, 333, 250, 200]), [600, 500, 333, 250]);
        assert_eq!(falling(&[], &[500]), [500]);
    }
}
