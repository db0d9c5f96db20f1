//! Where the numbers of a page come from: what a reader needs to repeat them.

use crate::clock::Fingerprint;
use crate::run_folder::Manifest;
use serde::Deserialize;
use serde_json::Value;

/// Facts about a run, as text.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The command that was given.
    pub command: String,
    /// The device in a few words, e.g. `AMD EPYC 7B13, CPU engine, fast-avx512`.
    pub machine: String,
    /// Hash of everything that can move a bit of the result.
    pub configuration_hash: String,
    /// Facts in the order shown, e.g. (`device`, `AMD EPYC 7B13, CPU engine`), (`seed`, `1`).
    pub facts: Vec<(String, String)>,
    /// All settings that were in force, e.g. (`tracking`, `position`).
    pub switches: Vec<(String, String)>,
    /// Data files with their SHA-256 checksums.
    pub checksums: Vec<(String, String)>,
}

/// What is shown of the doctor's certificate.
#[derive(Deserialize)]
struct Doctor {
    date: String,
    passed: bool,
    cases: usize,
}

impl From<&Manifest> for Provenance {
    fn from(manifest: &Manifest) -> Self {
        let device = |key: &str| manifest.device.get(key).map(text).unwrap_or_default();
        let pair = |name: &str, value: String| (name.to_string(), value);
        let list = |numbers: Vec<String>| if numbers.is_empty() { "none".into() } else { numbers.join(", ") };
        let doctor = manifest.certificate.clone().and_then(|certificate| serde_json::from_value(certificate).ok());
        let doctor =
            doctor.map_or("did not examine this device and version".into(), |Doctor { date, passed, cases }| {
                format!("{} {cases} cases on {date}", if passed { "passed all of" } else { "failed some of" })
            });
        let facts = vec![
            pair("holdfast", manifest.version.clone()),
            pair("device", format!("{}, {}", device("name"), device("kind"))),
            pair("back end", format!("{}, {}", device("backend"), device("variant"))),
            pair("driver", if manifest.driver.is_empty() { "none".into() } else { manifest.driver.clone() }),
            pair("machine", manifest.fingerprint.as_ref().map_or("not kept".into(), Fingerprint::line)),
            pair("doctor", doctor),
            pair("seeds", list(manifest.seeds.iter().map(u64::to_string).collect())),
            pair("replaced replicas", list(manifest.replaced_replicas.iter().map(u32::to_string).collect())),
            pair("started", manifest.started.clone()),
        ];
        let settings = manifest.configuration.as_object().into_iter().flatten();
        Self {
            command: manifest.command.clone(),
            machine: match (device("name"), device("kind")) {
                (name, kind) if name.starts_with(&kind) => format!("{name}, {}", device("variant")),
                (name, kind) => format!("{name}, {kind}, {}", device("variant")),
            },
            configuration_hash: manifest.configuration_hash.clone(),
            facts,
            switches: settings.map(|(name, value)| (name.clone(), text(value))).collect(),
            checksums: manifest.data_checksums.clone().into_iter().collect(),
        }
    }
}

/// A value of a manifest in words.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(entries) => {
            entries.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
