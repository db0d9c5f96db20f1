//! Times of one machine in a file, and two such files, or two programs, compared: `docs/bench-format.md` describes the file.

use crate::clock::Fingerprint;
use crate::engine::DeviceDescription;
use crate::error::{Error, Result};
use crate::run_folder;
use crate::statistics::ranks::{holm, rank_test, signed_rank_test};
use crate::statistics::spread::{Spread, bootstrap, geometric_mean, median};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;

/// What the field `format` of such a file says.
const FORMAT: &str = "holdfast bench";
/// The version of the format that is written here. Files of later ones are refused.
const VERSION: u32 = 1;
/// Two quantities differ if chance gives as much with less than this probability, after Holm's correction.
pub const LEVEL: f64 = 0.01;

/// Everything that a file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchFile {
    /// Always `holdfast bench`.
    pub format: String,
    /// Changes where an earlier reader would misunderstand.
    pub format_version: u32,
    /// When it was measured, in UTC.
    pub date: String,
    /// Machine and program.
    pub fingerprint: Fingerprint,
    /// The device that was measured.
    pub device: DeviceDescription,
    /// What `holdfast doctor` last said of it; null if it was not asked.
    pub certificate: Option<Value>,
    /// What was asked for: networks and sizes.
    pub settings: Map<String, Value>,
    /// What was measured.
    pub quantities: Vec<Quantity>,
}

/// One quantity: the smaller, the faster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// Its name, e.g. `step_us`.
    pub name: String,
    /// What it is called for people, e.g. `training step`.
    pub title: String,
    /// Of the samples, e.g. `µs`.
    pub unit: String,
    /// One number for each turn, in their order.
    pub samples: Vec<f64>,
}

impl Quantity {
    /// Whether samples of `other` are of the same kind.
    pub fn is_like(&self, other: &Self) -> bool {
        self.name == other.name && self.unit == other.unit
    }

    /// Median and interval of the samples.
    pub fn spread(&self) -> Spread {
        Spread::of(&self.samples).unwrap_or_default()
    }
}

/// One quantity on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// What it is called for people.
    pub title: String,
    /// The unit of both sides.
    pub unit: String,
    /// Of the other side.
    pub there: Spread,
    /// Of this side.
    pub here: Spread,
    /// Here divided by there: above 1 this side is slower.
    pub ratio: Spread,
    /// How probable so large a difference is by chance: rank test, of signed ranks for pairs, corrected by Holm.
    pub probability: f64,
}

impl Compared {
    /// Whether the two sides are told apart.
    pub fn differs(&self) -> bool {
        self.probability < LEVEL
    }
}

impl BenchFile {
    /// A file of now, with the doctor's `certificate`.
    pub fn new(
        fingerprint: Fingerprint,
        device: DeviceDescription,
        certificate: Option<Value>,
        settings: Map<String, Value>,
        quantities: Vec<Quantity>,
    ) -> Self {
        let date = run_folder::timestamp(std::time::SystemTime::now());
        let format = FORMAT.into();
        Self { format, format_version: VERSION, date, fingerprint, device, certificate, settings, quantities }
    }

    /// Whether such a file can be written here: to be asked before anything is measured.
    ///
    /// Fails with [`Error::Usage`] if something else than such a file is there, and with [`Error::Io`] if nothing can be written in
    /// its folder.
    pub fn check_place(path: &Path) -> Result<()> {
        if path.exists() && Self::read(path).is_err() {
            return Err(Error::Usage(format!(
                "{} is there and was not written by bench --save; name another file",
                path.display()
            )));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tempfile::tempfile_in(folder).map(|_| ()).map_err(|error| Error::io("write in", folder, error))
    }

    /// Writes it as JSON, in place of an earlier one.
    ///
    /// Fails as [`Self::check_place`] does, and with [`Error::Io`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        Self::check_place(path)?;
        run_folder::write(path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// Fails with [`Error::Data`] if the file is missing, is something else, is of a later version of the format, or holds samples
    /// that are no times.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = std::fs::read(path)
            .map_err(|error| Error::Data(format!("cannot read {shown}: {error}; check the path")))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Error::Data(format!("{shown} is no file of bench --save, or is cut off ({error}); name another one"))
        })?;
        if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(Error::Data(format!("{shown} is no file of bench --save; name another one")));
        }
        let version = value.get("format_version").and_then(Value::as_u64).unwrap_or_default();
        if version != u64::from(VERSION) {
            return Err(Error::Data(format!(
                "{shown} is of version {version} of its format, and this program reads version {VERSION}; use the program that \
                 wrote it, or save it anew"
            )));
        }
        let found: Self = serde_json::from_value(value)
            .map_err(|error| Error::Data(format!("{shown} lacks something ({error}); save it anew")))?;
        let is_time = |sample: &f64| sample.is_finite() && *sample > 0.0;
        match found
            .quantities
            .iter()
            .find(|quantity| quantity.samples.is_empty() || !quantity.samples.iter().all(is_time))
        {
            None => Ok(found),
            Some(Quantity { name, .. }) => {
                Err(Error::Data(format!("{shown}: {name} has no samples, or some that are no times; save it anew")))
            }
        }
    }

    /// Whether what is measured with other settings may be compared with this file.
    ///
    /// Fails with [`Error::Usage`] if they are not the same.
    pub fn check_settings(&self, here: &Map<String, Value>) -> Result<()> {
        let there = &self.settings;
        let has_other_model = there.get("model") != here.get("model");
        // Without convolutions there are no filters: that the model is another one says it.
        let names = there.keys().chain(here.keys().filter(|name| !there.contains_key(*name)));
        let differing = names.filter(|name| there.get(*name) != here.get(*name));
        let (mut facts, mut given, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for name in differing.filter(|name| !(has_other_model && *name == "filters")) {
            let [own, other] = [here, there].map(|settings| option(name, settings.get(name)));
            facts.push(format!("{} in that file and {} here", other.shown(), own.shown()));
            if other.is_given { given.push(other.text) } else { left_out.push(other.text) }
        }
        if facts.is_empty() {
            return Ok(());
        }
        let advice = [("give ", given, ""), ("leave ", left_out, " out")].map(|(before, options, behind)| {
            if options.is_empty() { String::new() } else { format!("{before}{}{behind}, ", options.join(" ")) }
        });
        Err(Error::Usage(format!(
            "times of other settings are not compared: {}; {}or name another file",
            facts.join(", "),
            advice.concat()
        )))
    }

    /// Compares what both have, `there` being the other one. Their samples are independent, so the range of a ratio is that of both
    /// medians.
    ///
    /// Fails with [`Error::Usage`] if they measured other things: other settings, or no quantity in common.
    pub fn compare(&self, there: &Self) -> Result<Comparison> {
        there.check_settings(&self.settings)?;
        let partner = |own: &Quantity| there.quantities.iter().find(|other| other.is_like(own));
        let sides =
            self.quantities.iter().filter_map(|here| partner(here).map(|there| Sides { here, there, ratios: None }));
        compared(&sides.collect::<Vec<_>>())
    }
}

/// A setting as the option that makes it.
struct Made {
    text: String,
    is_given: bool,
}

impl Made {
    fn shown(&self) -> String {
        if self.is_given { self.text.clone() } else { format!("no {}", self.text) }
    }
}

fn option(name: &str, value: Option<&Value>) -> Made {
    let value = match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(all)) => Some(all.iter().map(Value::to_string).collect::<Vec<_>>().join(",")),
        Some(value) => Some(value.to_string()),
    };
    match (name, value) {
        ("bias", value) => Made { text: "--no-bias".into(), is_given: value.as_deref() == Some("false") },
        (_, Some(value)) => Made { text: format!("--{name} {value}"), is_given: true },
        (_, None) => Made { text: format!("--{name}"), is_given: false },
    }
}

/// Two sides, quantity by quantity and in all.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Every quantity that is on both sides.
    pub quantities: Vec<Compared>,
    /// The geometric mean of the ratios; its range is that of the bootstrap over rounds.
    pub mean: Spread,
    /// The test that told quantities apart.
    pub test: &'static str,
}

/// One quantity of two sides that were measured in turn, a sample of each beside the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    /// Of the other side.
    pub there: Quantity,
    /// Of this side.
    pub here: Quantity,
    /// Here divided by there, one for each pair.
    pub ratios: Vec<f64>,
}

/// Compares two sides that were measured in turn: what slows both of a pair moves no ratio.
///
/// Fails with [`Error::Usage`] if there is nothing.
pub fn compare_pairs(all: &[Pairs]) -> Result<Comparison> {
    let sides = all.iter().map(|Pairs { there, here, ratios }| Sides { here, there, ratios: Some(ratios) });
    compared(&sides.collect::<Vec<_>>())
}

/// A quantity on both sides, and the ratios of its samples if they are pairs.
struct Sides<'a> {
    here: &'a Quantity,
    there: &'a Quantity,
    ratios: Option<&'a [f64]>,
}

impl Sides<'_> {
    fn ratio(&self) -> Spread {
        if let Some(ratios) = self.ratios {
            return Spread::of(ratios).unwrap_or_default();
        }
        let [here, there] = [self.here, self.there].map(Quantity::spread);
        let count = here.count.min(there.count);
        Spread { median: here.median / there.median, low: here.low / there.high, high: here.high / there.low, count }
    }

    fn probability(&self) -> f64 {
        match self.ratios {
            // The sizes of two ratios compare as those of their logarithms: a half is as far from 1 as 2 is.
            Some(ratios) => signed_rank_test(&ratios.iter().map(|ratio| ratio.ln()).collect::<Vec<_>>()),
            None => rank_test(&self.here.samples, &self.there.samples),
        }
    }
}

fn compared(all: &[Sides<'_>]) -> Result<Comparison> {
    if all.is_empty() {
        return Err(Error::Usage("both sides have no quantity in common; measure the same with --only, or all".into()));
    }
    let probabilities = holm(&all.iter().map(Sides::probability).collect::<Vec<_>>());
    let compared = |(sides, probability): (&Sides<'_>, f64)| Compared {
        name: sides.here.name.clone(),
        title: sides.here.title.clone(),
        unit: sides.here.unit.clone(),
        there: sides.there.spread(),
        here: sides.here.spread(),
        ratio: sides.ratio(),
        probability,
    };
    let quantities: Vec<Compared> = all.iter().zip(probabilities).map(compared).collect();
    let test = if all.iter().any(|sides| sides.ratios.is_some()) { "signed-rank test" } else { "rank test" };
    Ok(Comparison { mean: mean_ratio(&quantities, all), quantities, test })
}

/// The geometric mean of all ratios, with the range that it has when rounds are drawn anew: a round has a sample of every
/// quantity, and whatever slowed it has slowed them all.
fn mean_ratio(all: &[Compared], sides: &[Sides<'_>]) -> Spread {
    let mean = |ratios: &[f64]| geometric_mean(ratios).unwrap_or(1.0);
    let rounds = sides.iter().map(|sides| sides.here.samples.len().max(sides.there.samples.len())).max();
    let [low, high] = bootstrap(|draws| {
        let [rounds_here, rounds_there] =
            [(), ()].map(|()| (0..rounds.unwrap_or_default()).map(|_| draws.unit()).collect::<Vec<f64>>());
        let drawn = |samples: &[f64], rounds: &[f64]| -> f64 {
            let count = samples.len() as f64;
            let drawn = rounds[..samples.len()].iter().map(|round| samples[(round * count) as usize]);
            median(&drawn.collect::<Vec<_>>())
        };
        let ratio = |Sides { here, there, ratios }: &Sides<'_>| match ratios {
            Some(ratios) => drawn(ratios, &rounds_here),
            None => drawn(&here.samples, &rounds_here) / drawn(&there.samples, &rounds_there),
        };
        mean(&sides.iter().map(ratio).collect::<Vec<_>>())
    });
    let count = all.iter().map(|one| one.ratio.count).min().unwrap_or_default();
    Spread { median: mean(&all.iter().map(|one| one.ratio.median).collect::<Vec<_>>()), low, high, count }
}

/// The quantities that are told apart and slower here by more than this share.
pub fn too_slow(all: &[Compared], share: f64) -> Vec<&Compared> {
    all.iter().filter(|one| one.differs() && one.ratio.median > 1.0 + share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn quantity(name: &str, samples: Vec<f64>) -> Quantity {
        Quantity { name: name.into(), title: name.into(), unit: "µs".into(), samples }
    }

    /// Samples around `center`.
    fn around(center: f64) -> Vec<f64> {
        (0..12).map(|place| center * (1.0 + f64::from(place * 5 % 12) / 64.0)).collect()
    }

    /// Pairs around `center`, here `factor` times as slow.
    fn pairs(name: &str, center: f64, factor: f64) -> Pairs {
        let there = quantity(name, around(center));
        let here = quantity(name, there.samples.iter().map(|sample| factor * sample).collect());
        let ratios = here.samples.iter().zip(&there.samples).map(|(here, there)| here / there).collect();
        Pairs { there, here, ratios }
    }

    fn file(quantities: Vec<Quantity>) -> BenchFile {
        let device = DeviceDescription {
            name: "card".into(),
            kind: "discrete GPU".into(),
            backend: "vulkan".into(),
            driver: "1".into(),
            variant: "wgsl".into(),
        };
        let Value::Object(settings) = json!({ "batch": 32 }) else { panic!() };
        // The last bit of a decimal number is not kept in JSON.
        let fingerprint = Fingerprint { load_start: Some(0.5), ..Fingerprint::now("") };
        BenchFile::new(fingerprint, device, None, settings, quantities)
    }

    #[test]
    fn a_file_comes_back_and_what_is_no_file_of_ours_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let saved = file(vec![quantity("step", around(10.0))]);
        saved.write(&path).unwrap();
        saved.write(&path).unwrap();
        assert_eq!(BenchFile::read(&path).unwrap(), saved);
        let refused = |text: &str, words: &str| {
            std::fs::write(&path, text).unwrap();
            let error = BenchFile::read(&path).unwrap_err();
            assert!(error.exit_code() == 5 && error.to_string().contains(words), "{error}");
        };
        refused("{", "cut off");
        refused("{}", "no file of bench --save");
        assert_eq!(saved.write(&path).unwrap_err().exit_code(), 2);
        let mut value = serde_json::to_value(&saved).unwrap();
        value["format_version"] = json!(2);
        refused(&value.to_string(), "version 2");
        value["format_version"] = json!(1);
        value["quantities"][0]["samples"] = json!([0.0]);
        refused(&value.to_string(), "step has no samples");
        assert!(BenchFile::read(&folder.path().join("none.json")).unwrap_err().to_string().contains("none.json"));
    }

    #[test]
    fn halved_samples_are_told_apart_and_equal_ones_are_not() {
        let here = file(vec![quantity("step", around(10.0)), quantity("sweep", around(3.0))]);
        let mut there = here.clone();
        there.quantities[0].samples.iter_mut().for_each(|sample| *sample /= 2.0);
        let Comparison { quantities: all, mean, .. } = here.compare(&there).unwrap();
        assert_eq!([all[0].differs(), all[1].differs()], [true, false]);
        assert!((all[0].ratio.median - 2.0).abs() < 1e-12 && all[0].ratio.low < 2.0 && all[0].ratio.high > 2.0);
        assert!((mean.median - 2f64.sqrt()).abs() < 1e-12 && mean.low < mean.median && mean.high > mean.median);
        assert!(!mean.holds(1.0) && !mean.holds(2.0), "{mean:?}");
        let names = |share| too_slow(&all, share).into_iter().map(|one| one.name.as_str()).collect::<Vec<_>>();
        assert_eq!((names(0.25), names(1.5)), (vec!["step"], vec![]));
    }

    #[test]
    fn what_moves_both_of_a_pair_does_not_widen_the_range_of_the_mean() {
        let all = [("step", 10.0), ("sweep", 3.0)].map(|(name, center)| pairs(name, center, 2.0));
        let Spread { median, low, high, .. } = compare_pairs(&all).unwrap().mean;
        assert!([median, low, high].iter().all(|ratio| (ratio - 2.0).abs() < 1e-12), "{low} to {high}");
    }

    #[test]
    fn pairs_are_told_apart_by_less_than_both_of_them_move_together() {
        let found = pairs("step", 10.0, 1.02);
        let unpaired = file(vec![found.here.clone()]).compare(&file(vec![found.there.clone()])).unwrap();
        assert!(compare_pairs(&[found]).unwrap().quantities[0].differs());
        assert!(!unpaired.quantities[0].differs());
    }

    #[test]
    fn other_settings_and_other_quantities_cannot_be_compared() {
        let here = file(vec![quantity("step", around(10.0))]);
        let there = file(vec![quantity("sweep", around(10.0))]);
        assert_eq!(here.compare(&there).unwrap_err().exit_code(), 2);
        let refused = |there: Value, here: Value, words: &str| {
            let (Value::Object(there), Value::Object(here)) = (there, here) else { panic!() };
            let error = BenchFile { settings: there, ..file(vec![]) }.check_settings(&here).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(words), "{error}");
        };
        let words = "--batch 64 in that file and --batch 32 here; give --batch 64, or name another file";
        refused(json!({ "batch": 64 }), json!({ "batch": 32 }), words);
        let [dnn, cnn] = [json!({ "model": "dnn", "filters": null }), json!({ "model": "cnn", "filters": 8 })];
        refused(dnn, cnn, ": --model dnn in that file and --model cnn here; give --model dnn,");
        let [there, here] = [json!({ "hidden": [9, 8], "threads": null }), json!({ "hidden": [9], "threads": 2 })];
        refused(
            there.clone(),
            here.clone(),
            "--hidden 9,8 in that file and --hidden 9 here, no --threads in that file",
        );
        refused(there, here, "; give --hidden 9,8, leave --threads out, or");
        let [with, without] = [true, false].map(|bias| json!({ "bias": bias }));
        refused(with.clone(), without.clone(), "no --no-bias in that file and --no-bias here; leave --no-bias out");
        refused(without, with, "--no-bias in that file and no --no-bias here; give --no-bias");
    }
}
