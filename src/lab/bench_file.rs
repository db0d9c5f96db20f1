//! Times of one machine in a file, and two such files, or two programs, compared: `docs/bench-format.md` describes the file.

use crate::clock::Fingerprint;
use crate::engine::DeviceDescription;
use crate::error::{Error, Result};
use crate::run_folder;
use crate::statistics::order::{Spread, geometric_mean, holm, rank_test};
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
    /// How probable so large a difference is by chance: rank test, corrected by Holm.
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

    /// Writes it as JSON, in place of an earlier one.
    ///
    /// Fails with [`Error::Usage`] if something else than such a file is there, and with [`Error::Io`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if path.exists() && Self::read(path).is_err() {
            return Err(Error::Usage(format!(
                "{} is there and was not written by bench --save; name another file",
                path.display()
            )));
        }
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

    /// Compares what both have, `there` being the other one. Their samples are independent, so the range of a ratio is that of both
    /// medians.
    ///
    /// Fails with [`Error::Usage`] if they measured other things: other settings, or no quantity in common.
    pub fn compare(&self, there: &Self) -> Result<Vec<Compared>> {
        let shown = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
        let names = self.settings.keys().chain(there.settings.keys());
        if let Some(name) = names.into_iter().find(|name| self.settings.get(*name) != there.settings.get(*name)) {
            return Err(Error::Usage(format!(
                "{name} is {} there and {} here: these times cannot be compared; give the options that the file was saved with",
                shown(there.settings.get(name)),
                shown(self.settings.get(name))
            )));
        }
        let ratio = |here: &Quantity, there: &Quantity| {
            let (count, here, there) = (here.samples.len().min(there.samples.len()), here.spread(), there.spread());
            Spread {
                median: here.median / there.median,
                low: here.low / there.high,
                high: here.high / there.low,
                count,
            }
        };
        compared(&self.quantities, &there.quantities, ratio)
    }
}

/// The same of samples that were taken in pairs.
///
/// Fails with [`Error::Usage`] if no quantity is on both sides.
pub fn compare_pairs(here: &[Quantity], there: &[Quantity]) -> Result<Vec<Compared>> {
    compared(here, there, |here, there| Spread::of_ratios(&here.samples, &there.samples).unwrap_or_default())
}

fn compared(
    here: &[Quantity],
    there: &[Quantity],
    ratio: impl Fn(&Quantity, &Quantity) -> Spread,
) -> Result<Vec<Compared>> {
    let partner = |own: &Quantity| there.iter().find(|other| other.name == own.name && other.unit == own.unit);
    let pairs: Vec<(&Quantity, &Quantity)> =
        here.iter().filter_map(|own| partner(own).map(|other| (own, other))).collect();
    if pairs.is_empty() {
        return Err(Error::Usage("both sides have no quantity in common; measure the same with --only, or all".into()));
    }
    let probabilities: Vec<f64> = pairs.iter().map(|(here, there)| rank_test(&here.samples, &there.samples)).collect();
    let all = pairs.into_iter().zip(holm(&probabilities));
    Ok(all
        .map(|((here, there), probability)| Compared {
            name: here.name.clone(),
            title: here.title.clone(),
            unit: here.unit.clone(),
            there: there.spread(),
            here: here.spread(),
            ratio: ratio(here, there),
            probability,
        })
        .collect())
}

/// The geometric mean of all ratios; 1 of none.
pub fn mean_ratio(all: &[Compared]) -> f64 {
    geometric_mean(&all.iter().map(|one| one.ratio.median).collect::<Vec<_>>()).unwrap_or(1.0)
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
        let fingerprint = Fingerprint { load_start: 0.5, ..Fingerprint::now("") };
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
        let all = here.compare(&there).unwrap();
        assert_eq!([all[0].differs(), all[1].differs()], [true, false]);
        assert!((all[0].ratio.median - 2.0).abs() < 1e-12 && all[0].ratio.low < 2.0 && all[0].ratio.high > 2.0);
        assert!((mean_ratio(&all) - 2f64.sqrt()).abs() < 1e-12);
        let names = |share| too_slow(&all, share).into_iter().map(|one| one.name.as_str()).collect::<Vec<_>>();
        assert_eq!((names(0.25), names(1.5)), (vec!["step"], vec![]));
    }

    #[test]
    fn other_settings_and_other_quantities_cannot_be_compared() {
        let here = file(vec![quantity("step", around(10.0))]);
        let mut there = here.clone();
        there.settings.insert("batch".into(), json!(64));
        let error = here.compare(&there).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("batch is 64 there and 32 here"), "{error}");
        let there = file(vec![quantity("sweep", around(10.0))]);
        assert_eq!(here.compare(&there).unwrap_err().exit_code(), 2);
    }
}
