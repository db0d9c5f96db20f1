//! Tables as CSV.

use super::store;
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Borrow;
use std::path::Path;

/// Writes a table: a line with the names of the fields of `R`, then one line for each row. A table without rows still has
/// its names.
///
/// Numbers are written with the fewest digits that read back the same, missing values as nothing. Fails with
/// [`Error::Io`] if the file cannot be written.
pub fn write<R: Serialize + Default>(path: &Path, rows: impl IntoIterator<Item: Borrow<R>>) -> Result<()> {
    store::write(path, |writer| {
        let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(writer);
        table.write_record(&columns::<R>()?)?;
        rows.into_iter().try_for_each(|row| table.serialize(row.borrow()))?;
        table.flush()
    })
}

/// The names of a row's fields.
fn columns<R: Serialize + Default>() -> csv::Result<csv::StringRecord> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.serialize(R::default())?;
    table.flush()?;
    csv::Reader::from_reader(table.get_ref().as_slice()).headers().cloned()
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

    #[derive(Default, Serialize)]
    struct Row {
        method: &'static str,
        accuracy: f32,
        time: Option<f64>,
    }

    #[test]
    fn rows_follow_the_column_names_which_stand_there_without_rows_too() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let rows = [
            Row { method: "hold, s=50", accuracy: 0.1, time: None },
            Row { method: "ms", accuracy: 1.0, time: Some(2.5) },
        ];
        write::<Row>(&path, rows).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "method,accuracy,time\n\"hold, s=50\",0.1,\nms,1.0,2.5\n");
        write::<Row>(&path, Vec::<Row>::new()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "method,accuracy,time\n");
    }

    #[test]
    fn numbers_read_back_the_same() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let numbers = [f32::MIN_POSITIVE, 1.0 / 3.0, -0.0, f32::MAX, 1e-45];
        #[derive(Default, Serialize)]
        struct Number {
            number: f32,
        }
        write::<Number>(&path, numbers.map(|number| Number { number })).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let found: Vec<u32> = text.lines().skip(1).map(|line| line.parse::<f32>().unwrap().to_bits()).collect();
        assert_eq!(found, numbers.map(f32::to_bits));
    }
}
