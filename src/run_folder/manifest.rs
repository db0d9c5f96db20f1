//! What was run, with what, on what: the facts that every number of a report carries.

use super::{Shard, store};
use crate::clock::Fingerprint;
use crate::error::{Error, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

const FILE: &str = "manifest.json";

/// The content of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the program.
    pub version: String,
    /// The command, e.g. `compare`.
    pub command: String,
    /// Hash of everything that can move a bit, in hexadecimal.
    pub configuration_hash: String,
    /// The settings in force.
    pub configuration: Value,
    /// Keys of the random draws.
    pub seeds: Vec<u64>,
    /// The device as the engine describes it.
    pub device: Value,
    /// Driver and its version; empty for the CPU engine.
    pub driver: String,
    /// Machine and program; `None` of runs before this was kept.
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
    /// What `holdfast doctor` last said of this device, driver and kernels; `None` if it was not asked.
    #[serde(default)]
    pub certificate: Option<Value>,
    /// Checksum of each data set, by its name.
    pub data_checksums: BTreeMap<String, String>,
    /// What each data set holds: classes with counts, size, training and test images.
    #[serde(default)]
    pub data_sets: BTreeMap<String, Value>,
    /// SHA-256 of recorded weights, by what they are, e.g. `focus, epoch 3`.
    pub weight_hashes: BTreeMap<String, String>,
    /// Seconds of wall time, by what took them.
    pub wall_times: BTreeMap<String, f64>,
    /// Which part of a study this is; `None` of a whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Ids of replicas that were replaced because they did not learn.
    pub replaced_replicas: Vec<u32>,
    /// When the run was first started, see [`timestamp`].
    pub started: String,
    /// When it was done; `None` while it is not.
    pub finished: Option<String>,
}

impl Manifest {
    /// Reads the manifest of a run folder; `None` if there is none.
    ///
    /// Fails with [`Error::Usage`] if the file is not a manifest of this version, and with [`Error::Io`] if it cannot be
    /// read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::Usage(format!(
                "{} is not a manifest that this version understands ({error}); choose another --out, or remove that folder",
                path.display()
            ))
        })
    }

    /// Writes the manifest into a run folder, replacing an earlier one.
    ///
    /// Fails with [`Error::Io`] if it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::Job(format!("the manifest cannot be written as JSON: {error}")))?;
        json.push(b'\n');
        store::write_bytes(&folder.join(FILE), &json)
    }

    /// Notes that the run is done, and what load there was then.
    pub fn finish(&mut self) {
        self.finished = Some(timestamp(SystemTime::now()));
        self.fingerprint.iter_mut().for_each(Fingerprint::end);
    }

    /// Fails with [`Error::Usage`], which names what differs, if `found` in `folder` is of a run that does not give the bits
    /// of this one. Paths of data may differ: data are known by their content.
    pub(super) fn check_same(&self, found: &Self, folder: &Path) -> Result<()> {
        if self.configuration_hash == found.configuration_hash {
            return Ok(());
        }
        let shown = folder.display();
        if self.version != found.version {
            return Err(Error::Usage(format!(
                "{shown} belongs to another configuration: version {} of holdfast made it, this is {}{}; use that version to \
                 go on with it, or choose another --out to run it anew",
                found.version,
                self.version,
                self.differences(found).into_iter().map(|difference| format!("; {difference}")).collect::<String>()
            )));
        }
        let mut differences = self.differences(found);
        if differences.is_empty() {
            // The hash may be of a version that took the spelling of paths into it. It knows the order of several sets.
            if kinds(&self.configuration).len() < 2 {
                return Ok(());
            }
            differences.push("the order of the data sets".into());
        }
        Err(Error::Usage(format!(
            "{shown} belongs to another configuration: {}; choose another --out, or give the command that stands in {FILE} there",
            differences.join("; ")
        )))
    }

    /// What has a part in the bits and is not the same in `found`, e.g. `epochs: 30 there, 20 here`. Versions are not
    /// compared.
    fn differences(&self, found: &Self) -> Vec<String> {
        let mut all = Vec::new();
        let mut compare = |what: &str, there: Option<&Value>, here: Option<&Value>| {
            if there != here {
                all.push(format!("{what}: {} there, {} here", shown(there), shown(here)));
            }
        };
        compare("command", Some(&found.command.as_str().into()), Some(&self.command.as_str().into()));
        let mut keys: Vec<&String> =
            [found, self].iter().flat_map(|one| one.configuration.as_object()).flat_map(Map::keys).collect();
        keys.sort();
        keys.dedup();
        let of_data = kinds(&self.configuration) == kinds(&found.configuration);
        for key in keys.into_iter().filter(|key| !(of_data && *key == "data")) {
            compare(key, found.configuration.get(key), self.configuration.get(key));
        }
        for key in ["name", "backend", "driver", "variant"] {
            let what = if key == "name" { "device".into() } else { format!("{key} of the device") };
            compare(&what, found.device.get(key), self.device.get(key));
        }
        if of_data && contents(&self.data_checksums) != contents(&found.data_checksums) {
            let data =
                self.configuration.get("data").map(|data| format!(" of {}", shown(Some(data)))).unwrap_or_default();
            let changed = |(name, here): (&String, &String)| {
                let there = found.data_checksums.get(name).map_or("none", |there| first_digits(there));
                (there != first_digits(here)).then(|| format!("{name} {there} there, {} here", first_digits(here)))
            };
            let changed: Vec<String> = self.data_checksums.iter().filter_map(changed).collect();
            all.push(format!("the content{data} (checksums: {})", changed.join(", ")));
        }
        all
    }
}

/// Kinds of the data sets of a configuration: what stands before the path.
fn kinds(configuration: &Value) -> Vec<&str> {
    let sets = configuration.get("data").and_then(Value::as_array).into_iter().flatten();
    sets.filter_map(Value::as_str).map(|set| set.split('=').next().unwrap_or(set)).collect()
}

/// Checksums in an order that does not depend on the names of the sets.
fn contents(checksums: &BTreeMap<String, String>) -> Vec<&String> {
    let mut contents: Vec<&String> = checksums.values().collect();
    contents.sort();
    contents
}

/// As much of a checksum as tells it apart.
fn first_digits(checksum: &str) -> &str {
    checksum.get(..8).unwrap_or(checksum)
}

/// A setting in a message.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "not set".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => values.iter().map(|value| shown(Some(value))).collect::<Vec<_>>().join(","),
        Some(value) => value.to_string(),
    }
}

/// A time in UTC as RFC 3339 writes it, to the second: `2023-11-05T12:34:56Z`. A time beyond the year 9999 is shown as 1970.
pub fn timestamp(time: SystemTime) -> String {
    format!("{:.0}", Timestamp::try_from(time).unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};
    use tempfile::tempdir;

    /// A manifest with something in every field.
    pub(in super::super) fn example(configuration_hash: &str) -> Manifest {
        Manifest {
            version: "0.1.0".into(),
            command: "compare".into(),
            configuration_hash: configuration_hash.into(),
            configuration: json!({ "epochs": 30, "tolerance": [0.01, 0.03] }),
            seeds: vec![0, u64::MAX],
            device: json!({ "kind": "CPU engine" }),
            driver: String::new(),
            fingerprint: Some(Fingerprint::now("")),
            certificate: Some(json!({ "passed": true })),
            data_checksums: BTreeMap::from([("mnist".into(), "00ff".into())]),
            data_sets: BTreeMap::from([("mnist".into(), json!({ "height": 28 }))]),
            weight_hashes: BTreeMap::from([("focus, epoch 1".into(), "11aa".into())]),
            wall_times: BTreeMap::from([("train".into(), 0.1)]),
            shard: None,
            replaced_replicas: Vec::new(),
            started: timestamp(UNIX_EPOCH),
            finished: None,
        }
    }

    #[test]
    fn a_manifest_is_read_back_as_it_was_written_in_bytes_that_people_read() {
        let folder = tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), None);
        let manifest = Manifest { finished: Some("2023-11-05T12:34:56Z".into()), ..example("abc") };
        let write = || {
            manifest.write(folder.path()).unwrap();
            fs::read_to_string(folder.path().join(FILE)).unwrap()
        };
        let text = write();
        assert_eq!(text, write());
        assert!(text.starts_with("{\n  \"version\": \"0.1.0\",\n") && text.ends_with("}\n"), "{text}");
        assert!(text.contains("18446744073709551615"), "a seed lost its digits: {text}");
        assert_eq!(Manifest::read(folder.path()).unwrap(), Some(manifest));
    }

    #[test]
    fn what_differs_is_named_and_the_path_of_data_is_no_difference() {
        let of = |hash: &str, data: &str, checksum: &str| Manifest {
            configuration: json!({ "data": [data], "epochs": 30 }),
            data_checksums: BTreeMap::from([("pets, test".into(), checksum.into())]),
            ..example(hash)
        };
        let here = of("a", "any=pets", "00ff00ff00");
        let message = |found: Manifest| match here.check_same(&found, Path::new("there")) {
            Err(Error::Usage(message)) => message,
            other => panic!("{other:?}"),
        };
        here.check_same(&of("b", "any=/elsewhere/pets", "00ff00ff00"), Path::new("there")).unwrap();
        let other = message(of("b", "any=pets", "11aa11aa11"));
        assert!(["00ff00ff", "11aa11aa", "any=pets"].iter().all(|words| other.contains(words)), "{other}");
        let other = message(of("b", "sc=pets", "00ff00ff00"));
        assert!(other.contains("any=pets") && other.contains("sc=pets"), "{other}");
        let other = message(Manifest { device: json!({ "name": "card" }), ..of("b", "any=pets", "00ff00ff00") });
        assert!(other.contains("device") && other.contains("card"), "{other}");
        let other = message(Manifest { version: "0.0.9".into(), ..of("b", "any=pets", "00ff00ff00") });
        assert!(other.contains("0.0.9") && other.contains("0.1.0"), "{other}");
    }

    #[test]
    fn timestamps_follow_the_calendar() {
        // Seconds as `date --utc --date=@SECONDS` reads them.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_699_187_696, "2023-11-05T12:34:56Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
