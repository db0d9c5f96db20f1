//! What `holdfast doctor` found, kept for later runs: their manifests say whether the device was examined.

use super::Examination;
use crate::engine::DeviceDescription;
use crate::error::{Error, Result};
use crate::kernels::catalogue::SHADERS;
use crate::run_folder::{self, timestamp};
use data_encoding::HEXLOWER;
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::SystemTime;

/// The outcome of one examination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-256 of what was examined, in hexadecimal: this version of the program and its shaders, the device, its driver and
    /// the variant of the kernels. With any other of these it says nothing.
    pub hash: String,
    /// Version of the program.
    pub version: String,
    /// Name of the device.
    pub device: String,
    /// Driver and its version; empty for the CPU engine.
    pub driver: String,
    /// Which variants of the kernels ran.
    pub variant: String,
    /// When it was examined, in UTC.
    pub date: String,
    /// Whether every case passed.
    pub passed: bool,
    /// Cases.
    pub cases: usize,
    /// Largest share of its tolerance that a case used; `None` if a case had none left or could not run.
    pub largest_share: Option<f64>,
}

/// See [`Certificate::hash`].
fn hash(device: &DeviceDescription) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    let facts = [env!("CARGO_PKG_VERSION"), &device.name, &device.backend, &device.driver, &device.variant];
    facts.into_iter().for_each(&mut add);
    SHADERS.iter().for_each(|shader| add(shader.source));
    HEXLOWER.encode(&hash.finalize())
}

/// Where the certificate with this hash lies: in the user's data folder (`XDG_DATA_HOME`, or what the platform has).
fn path(hash: &str) -> Result<PathBuf> {
    let base = etcetera::choose_base_strategy().map_err(|error| {
        Error::Job(format!("there is no folder for certificates ({error}); set HOME or XDG_DATA_HOME"))
    })?;
    Ok(base.data_dir().join("holdfast").join("certificates").join(format!("{}.json", &hash[..16])))
}

impl Certificate {
    /// The certificate of an examination that ended now.
    pub fn new(examination: &Examination) -> Self {
        let DeviceDescription { name, driver, variant, .. } = examination.device.clone();
        let largest = examination.reports.iter().fold(0.0f64, |largest, report| largest.max(report.share));
        Self {
            hash: hash(&examination.device),
            version: env!("CARGO_PKG_VERSION").into(),
            device: name,
            driver,
            variant,
            date: timestamp(SystemTime::now()),
            passed: examination.passed(),
            cases: examination.reports.len(),
            largest_share: (largest.is_finite() && examination.broken.is_empty()).then_some(largest),
        }
    }

    /// Keeps it, in place of an earlier one, and says where.
    ///
    /// Fails with [`Error::Io`] if it cannot be written, and with [`Error::Job`] if the system names no folder for it.
    pub fn store(&self) -> Result<PathBuf> {
        let path = path(&self.hash)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::Job(format!("the certificate cannot be written as JSON: {error}")))?;
        run_folder::write(&path, |file| std::io::Write::write_all(file, format!("{text}\n").as_bytes()))?;
        Ok(path)
    }

    /// The certificate of this device with its present driver and these kernels, if there is one that can be read.
    pub fn of(device: &DeviceDescription) -> Option<Self> {
        let hash = hash(device);
        let bytes = std::fs::read(path(&hash).ok()?).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|certificate: &Self| certificate.hash == hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_driver_or_variant_is_another_hash() {
        let device = DeviceDescription {
            name: "card".into(),
            kind: "discrete GPU".into(),
            backend: "vulkan".into(),
            driver: "1.0".into(),
            variant: "wgsl".into(),
        };
        let updated = DeviceDescription { driver: "1.1".into(), ..device.clone() };
        let checked = DeviceDescription { variant: "wgsl-checked".into(), ..device.clone() };
        // What is moved from one field to the next is seen too.
        let moved = DeviceDescription { name: "cardv".into(), backend: "ulkan".into(), ..device.clone() };
        assert_eq!(hash(&device), hash(&device.clone()));
        for other in [updated, checked, moved] {
            assert_ne!(hash(&device), hash(&other), "{other:?}");
        }
    }
}
