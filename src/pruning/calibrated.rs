//! Networks of several replicas that are cut with the help of calibration images: by scores that know the inputs, by a surgeon,
//! and with what stays solved anew.

use crate::engine::{Engine, Watch};
use crate::error::Result;
use crate::network::{Architecture, Layer, ParameterLayout, Selection};
use crate::pruning::masks::Mask;
use crate::pruning::surgery::{Course, PrunedNetwork, Settings, StageTimes, Surgery, Way};

/// The networks of all replicas.
pub struct CalibratedNetworks<'a> {
    surgeries: Vec<Surgery<'a>>,
    layout: ParameterLayout,
}

/// What the holding surgeon multiplies weights by, `[replica][part of the selection]`.
pub type Ratios = Vec<Vec<Vec<f32>>>;

/// What a surgeon made of the networks.
pub struct Operated {
    /// `[replica][point]`, points in the order in which they were asked for.
    pub networks: Vec<Vec<PrunedNetwork>>,
    /// Of each replica how it went.
    pub ways: Vec<Way>,
    /// What took how long, all replicas together.
    pub times: StageTimes,
}

impl<'a> CalibratedNetworks<'a> {
    /// Runs calibration `features` `[image, feature]` through the networks of these parameters.
    ///
    /// Fails as [`Surgery::new`] does.
    pub fn new(
        engine: &Engine,
        architecture: &'a Architecture,
        parameters: &[Vec<f32>],
        features: &'a [f32],
        settings: Settings,
    ) -> Result<Self> {
        let surgery = |parameters: &Vec<f32>| Surgery::new(engine, architecture, parameters, features, settings);
        let surgeries = parameters.iter().map(surgery).collect::<Result<_>>()?;
        Ok(Self { surgeries, layout: ParameterLayout::new(architecture) })
    }

    /// Which layers, counted from the image, a selection is of.
    pub fn layers(&self, selection: &Selection) -> Vec<usize> {
        selection.parts().iter().map(|part| Layer::of_part(&self.layout, part)).collect()
    }

    /// For each replica and part of a selection the norms of its inputs.
    ///
    /// Fails as [`Surgery::input_norms`] does.
    pub fn norms(&self, engine: &Engine, selection: &Selection) -> Result<Vec<Vec<Vec<f32>>>> {
        let layers = self.layers(selection);
        let of_replica =
            |surgery: &Surgery<'_>| layers.iter().map(|&layer| surgery.input_norms(engine, layer)).collect();
        self.surgeries.iter().map(of_replica).collect()
    }

    /// How many weights of a selection stay where the whole network becomes `size` times smaller.
    ///
    /// Fails as [`Surgery::kept_at`] does.
    pub fn kept_at(&self, selection: &Selection, size: f64) -> Result<usize> {
        self.surgeries.first().map_or(Ok(0), |surgery| surgery.kept_at(&self.layers(selection), size))
    }

    /// Fails as [`Surgery::check_work`] does.
    pub fn check_work(&self, selection: &Selection) -> Result<()> {
        self.surgeries.first().map_or(Ok(()), |surgery| surgery.check_work(&self.layers(selection)))
    }

    /// Units of a selection, of all replicas.
    pub fn units(&self, selection: &Selection) -> usize {
        let layers = self.layers(selection);
        self.surgeries.iter().map(|surgery| surgery.units(&layers)).sum()
    }

    /// What stays of a selection where it is cut as `cuts` `[replica][point]` say, solved anew and polished by so many steps:
    /// `[replica][point]`. Progress is in replicas.
    ///
    /// Fails as [`Surgery::refit_cuts`] does.
    pub fn refit(
        &self,
        engine: &mut Engine,
        selection: &Selection,
        cuts: &[Vec<Mask>],
        polish: u32,
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<PrunedNetwork>>> {
        let layers = self.layers(selection);
        let of_replica = |(surgery, cuts): (&Surgery<'_>, &Vec<Mask>)| {
            let by_layer = |mask: &Mask| {
                let mut kept = surgery.dense().kept.clone();
                for (&layer, part) in layers.iter().zip(selection.parts()) {
                    kept[layer].copy_from_slice(&mask[part.start..part.start + part.weights()]);
                }
                kept
            };
            let cuts = cuts.iter().map(by_layer).collect();
            let silent = watch.silent();
            let mut networks = surgery.refit_cuts(engine, selection.first_layer(), cuts, &silent)?;
            networks.iter_mut().try_for_each(|network| surgery.polish(engine, network, polish, &silent))?;
            (watch.progress)(1);
            Ok(networks)
        };
        self.surgeries.iter().zip(cuts).map(of_replica).collect()
    }

    /// The ways of one layer alone, to the end. Progress is in units.
    ///
    /// Fails as [`Surgery::way_of_layer`] does.
    pub fn ways_of_layer(
        &self,
        engine: &mut Engine,
        layer: usize,
        ratios: Option<&Ratios>,
        watch: &Watch<'_>,
    ) -> Result<Vec<Way>> {
        let way = |(replica, surgery): (usize, &Surgery<'_>)| {
            surgery.way_of_layer(engine, layer, ratios.map(|ratios| ratios[replica].as_slice()), watch)
        };
        self.surgeries.iter().enumerate().map(way).collect()
    }

    /// A surgeon cuts each replica so that `points` weights of the selection stay, by `stages`, numbers of weights too; where
    /// its way is `known` it goes by that. After each cut the weights that are left take `polish` steps together, see
    /// [`Surgery::polish`]. See [`Surgery::in_stages`]. Progress is in points.
    ///
    /// Fails as that does.
    pub fn operate(
        &self,
        engine: &mut Engine,
        selection: &Selection,
        [stages, points]: [&[usize]; 2],
        ratios: Option<&Ratios>,
        known: Option<&[Way]>,
        polish: u32,
        watch: &Watch<'_>,
    ) -> Result<Operated> {
        let layers = self.layers(selection);
        let mut operated = Operated { networks: Vec::new(), ways: Vec::new(), times: StageTimes::default() };
        let (nothing, silent) = (Way::default(), watch.silent());
        for (replica, surgery) in self.surgeries.iter().enumerate() {
            let known = known.and_then(|known| known.get(replica)).unwrap_or(&nothing);
            let ratios = ratios.map(|ratios| ratios[replica].as_slice());
            let mut found = Vec::with_capacity(points.len());
            let mut take = |kept: usize, network: &PrunedNetwork| {
                found.push((kept, network.clone()));
                (watch.progress)(1);
                Ok(())
            };
            let course = Course { stages, points, known, ratios, polish };
            let (way, times) = surgery.in_stages(engine, &layers, course, &silent, &mut take)?;
            operated.times.paths += times.paths;
            operated.times.refit += times.refit;
            operated.ways.push(way);
            let at = |point: &usize| found.iter().find(|(kept, _)| kept == point).map(|(_, network)| network.clone());
            operated.networks.push(points.iter().filter_map(at).collect());
        }
        Ok(operated)
    }

    /// The stages of a selection: numbers of weights that stay at these `sizes` of the whole network, those that it can reach;
    /// of one layer alone one, to the end.
    pub fn stages(&self, selection: &Selection, sizes: &[f64]) -> Vec<usize> {
        match selection.parts() {
            [_] => vec![0],
            _ => sizes.iter().filter_map(|&size| self.kept_at(selection, size).ok()).collect(),
        }
    }

    /// How many weights and biases polishing moves together in the largest of these networks, one for each replica.
    pub fn moving(&self, networks: &[PrunedNetwork]) -> usize {
        let counts = self.surgeries.iter().zip(networks).map(|(surgery, network)| surgery.moving(network).len());
        counts.max().unwrap_or(0)
    }

    /// The masks of a network, one for each part of a selection.
    pub fn masks(&self, selection: &Selection, network: &PrunedNetwork) -> Vec<Mask> {
        self.layers(selection).into_iter().map(|layer| network.kept[layer].as_slice().into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Sequence, Stream};

    #[test]
    fn a_replica_alone_is_cut_and_solved_as_among_others() {
        let architecture = Architecture::dnn(8, 8, [7; 3], 3);
        let mut draws = Sequence::new(5, Stream::Check, 1, 9);
        let count = ParameterLayout::new(&architecture).parameters();
        let parameters: Vec<Vec<f32>> =
            (0..10).map(|_| (0..count).map(|_| draws.between(-0.8, 0.8) as f32).collect()).collect();
        let images: Vec<f32> = (0..100 * 64).map(|_| draws.unit() as f32).collect();
        let selection = Selection::all(&architecture);
        let watch = Watch::nobody();
        let operate = |parameters: &[Vec<f32>], threads| {
            let mut engine = Engine::cpu(Some(threads)).unwrap();
            let networks =
                CalibratedNetworks::new(&engine, &architecture, parameters, &images, Settings::default()).unwrap();
            let stages = networks.stages(&selection, &[2.0, 4.0]);
            let operated =
                networks.operate(&mut engine, &selection, [&stages, &stages], None, None, 0, &watch).unwrap();
            (operated.networks, operated.ways)
        };
        let among = operate(&parameters, 2);
        for replica in [0, 4, 9] {
            let alone = operate(&parameters[replica..replica + 1], 1);
            assert_eq!(alone.0[0], among.0[replica]);
            assert_eq!(alone.1[0], among.1[replica]);
        }
    }
}
