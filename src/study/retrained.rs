//! The lines of the sensitivity table that no recorded history answers: what changes training is told apart by training some
//! replicates anew.

use super::configuration::{Configuration, Network};
use super::experiment::Cell;
use crate::data::{Fit, PAPER_SIDE};
use crate::error::Result;
use std::sync::Arc;

/// What pixels are divided by in the study, and what they are divided by otherwise: nothing.
const RAW_PIXELS: f64 = 1.0;
const SHARES_OF_WHITE: f64 = 255.0;

/// One thing that is set otherwise than in the study.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its part of a cell's folder.
    pub folder: String,
    /// All settings: none of its replicas is replaced.
    pub configuration: Configuration,
}

/// The variants of a study: raw pixels (or, where these are the study's, shares of white), and images padded to the size of
/// the paper's largest.
pub fn variants(study: &Configuration) -> Vec<Variant> {
    if study.retrained_replicates() == 0 {
        return Vec::new();
    }
    let base = Configuration { max_replacements: Some(0), ..study.clone() };
    let pixel_scale = if study.pixel_scale == RAW_PIXELS { SHARES_OF_WHITE } else { RAW_PIXELS };
    let scaled = Configuration { pixel_scale, ..base.clone() };
    let mut all = vec![Variant { folder: format!("retrained/pixel-scale-{pixel_scale}"), configuration: scaled }];
    if (study.side, study.fit) != (Some(PAPER_SIDE), Fit::Pad) {
        let padded = Configuration { side: Some(PAPER_SIDE), fit: Fit::Pad, ..base };
        all.push(Variant { folder: format!("retrained/padded-to-{PAPER_SIDE}"), configuration: padded });
    }
    all
}

impl Variant {
    /// The cells to train, of those of the study: where images have that size already, a variant in size changes nothing.
    ///
    /// Fails as [`Cell::load_all`] does.
    pub fn cells(&self, study: &Configuration, cells: &[Cell]) -> Result<Vec<Cell>> {
        let options = |configuration: &Configuration| configuration.load_options(Network::Dnn);
        if options(&self.configuration) == options(study) {
            return Ok(cells.to_vec());
        }
        let changes = |cell: &Cell| {
            let data = &cell.split.training;
            study.side.is_some() || (data.height, data.width) != (PAPER_SIDE, PAPER_SIDE)
        };
        let of_each_set = cells.chunks(study.model.networks().len());
        let (changed, data): (Vec<&[Cell]>, Vec<String>) =
            of_each_set.zip(study.data.iter().cloned()).filter(|(cells, _)| cells.iter().any(changes)).unzip();
        if data.is_empty() {
            return Ok(Vec::new());
        }
        let mut others = Cell::load_all(&Configuration { data, ..self.configuration.clone() })?;
        for (other, cell) in others.iter_mut().zip(changed.into_iter().flatten()) {
            other.data_set.clone_from(&cell.data_set);
        }
        // Nobody asks for test images, which may be many.
        others.iter_mut().for_each(|cell| cell.split.test = Arc::clone(&cell.split.training));
        Ok(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::configuration::Model;
    use crate::study::presets::Preset;

    fn names(study: &Configuration) -> Vec<String> {
        variants(study).into_iter().map(|variant| variant.folder).collect()
    }

    #[test]
    fn a_study_is_varied_in_what_it_is_not() {
        let study = Configuration::study(Preset::Quick);
        assert_eq!(names(&study), ["retrained/pixel-scale-1", "retrained/padded-to-100"]);
        let other = Configuration { pixel_scale: 1.0, side: Some(100), fit: Fit::Pad, ..study.clone() };
        assert_eq!(names(&other), ["retrained/pixel-scale-255"]);
        assert!(names(&Configuration { sensitivity_replicates: Some(0), ..study }).is_empty());
    }

    #[test]
    fn images_of_the_largest_size_are_not_padded() {
        let study = Configuration {
            data: vec!["pr".into(), "ct".into()],
            model: Model::Both,
            ..Configuration::study(Preset::Quick)
        };
        let cells = Cell::load_all(&study).unwrap();
        let all = variants(&study);
        let found = |variant: &Variant| -> Vec<String> {
            variant.cells(&study, &cells).unwrap().iter().map(Cell::name).collect()
        };
        assert_eq!(found(&all[0]).len(), 4);
        assert_eq!(found(&all[1]), ["dnn on pr", "cnn on pr"]);
        let padded = &all[1].cells(&study, &cells).unwrap()[0].split.training;
        assert_eq!((padded.height, padded.width, padded.images[0]), (100, 100, 0));
    }
}
