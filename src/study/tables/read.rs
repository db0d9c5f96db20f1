//! Observations from anyone's CSV files, read line by line.

use super::{Observations, Replicate, StableNodes};
use crate::error::{Error, Result};
use csv::{ReaderBuilder, StringRecord, Trim};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where numbers came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its content, in hexadecimal.
    pub checksum: String,
    /// Rows below the column names.
    pub rows: usize,
}

/// Reads a file with the columns `model`, `data_set`, `replicate` and `stability`, a row for each node; other columns are
/// left alone, and so is the order of columns and rows.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read, a column is missing, or a field is not what it should be, with file, line
/// and column.
pub fn read_observations(path: &Path) -> Result<(Observations, Source)> {
    let mut observations = Observations::new();
    let source = read(path, ["stability"], |replicate, [stability]| {
        observations.entry(replicate).or_default().extend(stability);
    })?;
    Ok((observations, source))
}

/// Reads a file with the columns `model`, `data_set`, `replicate`, `epoch` and `stable_nodes`, a row for each epoch, in any
/// order.
///
/// # Errors
/// As [`read_observations`], and [`Error::Data`] if an epoch is not a whole number or comes twice.
pub fn read_stable_nodes(path: &Path) -> Result<(StableNodes, Source)> {
    let mut epochs: BTreeMap<Replicate, [Vec<f64>; 2]> = BTreeMap::new();
    let source = read(path, ["epoch", "stable_nodes"], |replicate, [epoch, numbers]| {
        let found = epochs.entry(replicate).or_default();
        found[0].extend(epoch);
        found[1].extend(numbers);
    })?;
    let mut stable_nodes = StableNodes::new();
    for (replicate, [epochs, numbers]) in epochs {
        let mut points = Vec::new();
        for (epoch, number) in epochs.into_iter().zip(numbers) {
            if epoch.fract() != 0.0 || epoch > f64::from(u32::MAX) {
                let place = describe(&replicate);
                return Err(Error::Data(format!(
                    "{}: {place} has epoch {epoch}; epochs count 1, 2, 3",
                    path.display()
                )));
            }
            points.push((epoch as u32, number));
        }
        points.sort_by_key(|point| point.0);
        if let Some(pair) = points.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::Data(format!(
                "{}: {} has epoch {} twice; each replicate has one row for each epoch",
                path.display(),
                describe(&replicate),
                pair[0].0
            )));
        }
        stable_nodes.insert(replicate, points);
    }
    Ok((stable_nodes, source))
}

fn describe(replicate: &Replicate) -> String {
    format!("{} on {}, replicate {}", replicate.model, replicate.data_set, replicate.replicate)
}

/// Hands over the numbers of the columns `numbers`, not negative, for runs of rows of one replicate.
fn read<const N: usize>(
    path: &Path,
    numbers: [&str; N],
    mut take: impl FnMut(Replicate, [Vec<f64>; N]),
) -> Result<Source> {
    let place = path.display();
    let file =
        File::open(path).map_err(|error| Error::Data(format!("cannot read {place}: {error}; check the path")))?;
    let mut hashed = Hashed { file, hash: Sha256::new() };
    let mut rows = 0;
    {
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(&mut hashed);
        let broken = |error: csv::Error| {
            let line = error.position().map(|position| format!(", line {}", position.line())).unwrap_or_default();
            let what = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("{len} fields under {expected_len} column names")
                }
                csv::ErrorKind::Utf8 { .. } => "text that is not UTF-8".into(),
                _ => error.to_string(),
            };
            Error::Data(format!("{place}{line}: {what}; correct the file"))
        };
        let names = reader.headers().map_err(broken)?.clone();
        let column = |name: &str| {
            names.iter().position(|found| found == name).ok_or_else(|| {
                let found: Vec<&str> = names.iter().collect();
                Error::Data(format!("{place} has no column {name}, but {}; name it so", found.join(", ")))
            })
        };
        let keys = [column("model")?, column("data_set")?, column("replicate")?];
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(numbers) {
            *place = column(name)?;
        }
        let mut record = StringRecord::new();
        let mut current: Option<([String; 3], [Vec<f64>; N])> = None;
        while reader.read_record(&mut record).map_err(broken)? {
            rows += 1;
            let at = |column: usize| {
                let line = record.position().map_or(0, |position| position.line());
                format!("{place}, line {line}: column {}", &names[column])
            };
            if let Some(&empty) = keys.iter().find(|&&key| record[key].is_empty()) {
                return Err(Error::Data(format!("{} is empty; every row belongs to a replicate", at(empty))));
            }
            if current.as_ref().is_none_or(|(known, _)| (0..3).any(|key| known[key] != record[keys[key]])) {
                hand_over(current.take(), &mut take);
                current = Some((keys.map(|key| record[key].to_string()), [const { Vec::new() }; N]));
            }
            for (values, &column) in current.iter_mut().flat_map(|(_, values)| values).zip(&places) {
                let text = &record[column];
                let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
                let number = number.ok_or_else(|| {
                    Error::Data(format!("{} holds \"{text}\"; write a number of 0 or more", at(column)))
                })?;
                values.push(number);
            }
        }
        hand_over(current, &mut take);
    }
    if rows == 0 {
        return Err(Error::Data(format!("{place} has no rows below its column names; give it some")));
    }
    let checksum = hashed.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Source { path: path.to_path_buf(), checksum, rows })
}

fn hand_over<const N: usize>(
    run: Option<([String; 3], [Vec<f64>; N])>,
    take: &mut impl FnMut(Replicate, [Vec<f64>; N]),
) {
    if let Some(([model, data_set, replicate], values)) = run {
        take(Replicate { model, data_set, replicate }, values);
    }
}

/// A file whose bytes are hashed as they are read.
struct Hashed {
    file: File,
    hash: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::tempdir;

    fn observations(text: &str) -> Result<Observations> {
        let folder = tempdir().unwrap();
        let path = folder.path().join("o.csv");
        fs::write(&path, text).unwrap();
        read_observations(&path).map(|(observations, _)| observations)
    }

    fn stable_nodes(text: &str) -> Result<StableNodes> {
        let folder = tempdir().unwrap();
        let path = folder.path().join("s.csv");
        fs::write(&path, text).unwrap();
        read_stable_nodes(&path).map(|(stable_nodes, _)| stable_nodes)
    }

    #[test]
    fn columns_and_rows_may_come_in_any_order_and_quoted() {
        let found = observations(
            "\u{feff}\"\",\"stability\",\"replicate\",\"data_set\",\"model\"\n1,5,1,\"a, b\",x\n2,6,2,c,x\n3,7.5, 1,\"a, b\",x\n",
        );
        let found: Vec<(String, Vec<f64>)> =
            found.unwrap().into_iter().map(|(one, values)| (describe(&one), values)).collect();
        let expected = [("x on a, b, replicate 1", vec![5.0, 7.5]), ("x on c, replicate 2", vec![6.0])];
        assert_eq!(found, expected.map(|(name, values)| (name.to_string(), values)));
    }

    #[test]
    fn epochs_are_sorted_and_each_comes_once() {
        let head = "model,data_set,replicate,epoch,stable_nodes\n";
        let found = stable_nodes(&format!("{head}m,d,1,2,30\nm,d,1,1,10\n")).unwrap();
        assert_eq!(found.into_values().collect::<Vec<_>>(), [[(1, 10.0), (2, 30.0)]]);
        let twice = stable_nodes(&format!("{head}m,d,1,2,30\nm,d,2,2,1\nm,d,1,2,10\n")).unwrap_err().to_string();
        assert!(twice.contains("m on d, replicate 1 has epoch 2 twice"), "{twice}");
        let half = stable_nodes(&format!("{head}m,d,1,1.5,30\n")).unwrap_err().to_string();
        assert!(half.contains("has epoch 1.5"), "{half}");
    }

    #[test]
    fn every_fault_names_file_line_and_column() {
        let head = "model,data_set,replicate,stability\n";
        for (text, words) in [
            ("model,data_set,replicate,ms\nm,d,1,5\n".to_string(), ["o.csv has no column stability", "replicate, ms"]),
            (format!("{head}m,d,1,5\nm,d,1,much\n"), ["o.csv, line 3: column stability", "\"much\""]),
            (format!("{head}m,d,1,NaN\n"), ["line 2: column stability", "\"NaN\""]),
            (format!("{head}m,d,1,-1\n"), ["line 2: column stability", "0 or more"]),
            (format!("{head}m,,1,1\n"), ["line 2: column data_set", "is empty"]),
            (format!("{head}m,d,1,1\nm,d,1\n"), ["line 3: 3 fields under 4 column names", "correct"]),
            (head.to_string(), ["no rows", "o.csv"]),
        ] {
            let error = observations(&text).unwrap_err();
            assert!(matches!(error, Error::Data(_)));
            for word in words {
                assert!(error.to_string().contains(word), "{word:?} is not in {error}");
            }
        }
        let missing = read_observations(Path::new("no.csv")).unwrap_err();
        assert!(matches!(missing, Error::Data(_)) && missing.to_string().contains("check the path"), "{missing}");
    }

    #[test]
    fn the_checksum_is_that_of_the_file() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("o.csv");
        let text = "model,data_set,replicate,stability\nm,d,1,5\n";
        fs::write(&path, text).unwrap();
        let (_, source) = read_observations(&path).unwrap();
        let expected: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((source.checksum, source.rows), (expected, 1));
    }
}
