//! Tables as CSV.

use super::store;
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Writes a table: the line of column names, then one line for each row (a tuple, or a struct whose fields stand in the
/// order of the columns). A table without rows still has its names.
///
/// Numbers are written with the fewest digits that read back the same, missing values as nothing. Fails with
/// [`Error::Shape`] if a row has another number of fields than there are columns, and with [`Error::Io`] if the file
/// cannot be written.
pub fn write<R: Serialize>(path: &Path, columns: &[&str], rows: impl IntoIterator<Item = R>) -> Result<()> {
    let mut shape_error = None;
    let written = store::write(path, |writer| {
        let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(writer);
        let filled = (|| {
            table.write_record(columns)?;
            rows.into_iter().try_for_each(|row| table.serialize(row))
        })();
        match filled {
            Ok(()) => table.flush(),
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Io(error) => Err(error),
                // Whatever else can go wrong lies in the rows and not on the disk.
                kind => {
                    let message = format!("{}: a row does not fit the columns {columns:?}: {kind:?}", path.display());
                    shape_error = Some(Error::Shape(message));
                    Err(std::io::ErrorKind::InvalidInput.into())
                }
            },
        }
    });
    shape_error.map_or(written, Err)
}

/// Reads the rows of a table that [`write()`] made.
///
/// Fails with [`Error::Data`] if the file is missing or a row does not fit.
pub fn read<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>> {
    let unreadable = |error: csv::Error| {
        Error::Data(format!("cannot read {}: {error}; run the command again with --fresh", path.display()))
    };
    csv::Reader::from_path(path).map_err(unreadable)?.deserialize().collect::<csv::Result<_>>().map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::tempdir;

    #[derive(Serialize)]
    struct Row {
        method: &'static str,
        accuracy: f32,
        time: Option<f64>,
    }

    const COLUMNS: [&str; 3] = ["method", "accuracy", "time"];

    #[test]
    fn rows_follow_the_column_names_which_stand_there_without_rows_too() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let rows = [
            Row { method: "hold, s=50", accuracy: 0.1, time: None },
            Row { method: "ms", accuracy: 1.0, time: Some(2.5) },
        ];
        write(&path, &COLUMNS, rows).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "method,accuracy,time\n\"hold, s=50\",0.1,\nms,1.0,2.5\n");
        write(&path, &COLUMNS, Vec::<Row>::new()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "method,accuracy,time\n");
    }

    #[test]
    fn rows_with_another_number_of_fields_are_refused_and_nothing_is_written() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let error = write(&path, &COLUMNS, [("ms", 0.5)]).unwrap_err();
        assert!(matches!(error, Error::Shape(_)) && error.to_string().contains("a.csv"), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn numbers_read_back_the_same() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let numbers = [f32::MIN_POSITIVE, 1.0 / 3.0, -0.0, f32::MAX, 1e-45];
        write(&path, &["number"], numbers.map(|number| (number,))).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let found: Vec<u32> = text.lines().skip(1).map(|line| line.parse::<f32>().unwrap().to_bits()).collect();
        assert_eq!(found, numbers.map(f32::to_bits));
    }
}
