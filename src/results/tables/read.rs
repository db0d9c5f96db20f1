//! Observations from anyone's CSV files, read line by line.

use super::{Observations, Replicate, StableWeights};
use crate::error::{Error, Result};
use crate::run_folder::file_kind::{FileKind, Purpose};
use crate::run_folder::input::{Input, decode};
use csv::{ReaderBuilder, StringRecord, Trim};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The most bytes that a table may have.
const MOST_BYTES: u64 = 1 << 30;
/// What may separate columns, and how it is called.
const SEPARATORS: [(u8, &str); 5] =
    [(b',', "commas"), (b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars"), (b' ', "spaces")];

/// Where numbers came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its content, in hexadecimal.
    pub checksum: String,
    /// Rows below the column names.
    pub rows: usize,
    /// What was taken for granted in reading, and the user should know.
    pub notices: Vec<String>,
}

/// Reads a file with the columns `model`, `data_set`, `replicate` and `stability`, a row for each weight; other columns are
/// left alone, and so is the order of columns and rows. Columns may be separated by semicolons, tabs, bars or spaces too,
/// decimals by a comma where that is clear, and there may be names of rows and lines of comment (`#`); that is said.
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

/// Reads a file with the columns `model`, `data_set`, `replicate`, `epoch` and `stable_weights`, a row for each epoch, in any
/// order.
///
/// # Errors
/// As [`read_observations`], and [`Error::Data`] if an epoch is not a whole number or comes twice.
pub fn read_stable_weights(path: &Path) -> Result<(StableWeights, Source)> {
    let mut epochs: BTreeMap<Replicate, [Vec<f64>; 2]> = BTreeMap::new();
    let source = read(path, ["epoch", "stable_nodes"], |replicate, [epoch, numbers]| {
        let found = epochs.entry(replicate).or_default();
        found[0].extend(epoch);
        found[1].extend(numbers);
    })?;
    let mut stable_weights = StableWeights::new();
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
        stable_weights.insert(replicate, points);
    }
    Ok((stable_weights, source))
}

fn describe(replicate: &Replicate) -> String {
    format!("{} on {}, replicate {}", replicate.model, replicate.data_set, replicate.replicate)
}

/// Columns that say which replicate a row is of.
const KEYS: [&str; 3] = ["model", "data_set", "replicate"];

/// Hands over the numbers of the columns `numbers`, not negative, for runs of rows of one replicate.
fn read<const N: usize>(
    path: &Path,
    numbers: [&str; N],
    mut take: impl FnMut(Replicate, [Vec<f64>; N]),
) -> Result<Source> {
    let place = path.display().to_string();
    let input = Input::open(path)?;
    match FileKind::of(input.head(), path) {
        FileKind::Other(foreign) if foreign.may_be_text() => {}
        kind => return Err(Error::Data(format!("{place} {}", kind.sentence(Purpose::Table)))),
    }
    let bytes = input.into_bytes(MOST_BYTES)?;
    let checksum = HEXLOWER.encode(&Sha256::digest(&bytes));
    let mut notices = Vec::new();
    let text = decode(&place, bytes, &mut notices)?;
    let table = Table::new(place, &text, &[&KEYS[..], &numbers].concat(), &mut notices)?;

    let mut rows = 0;
    let mut current: Option<([String; 3], [Vec<f64>; N])> = None;
    table.rows(|line, record| {
        rows += 1;
        let keys = [0, 1, 2].map(|key| &record[table.columns[key].0]);
        if let Some(empty) = keys.iter().position(|key| key.is_empty()) {
            let at = table.field(line, empty);
            return Err(Error::Data(format!("{at} is empty; every row belongs to a replicate")));
        }
        if current.as_ref().is_none_or(|(known, _)| *known != keys) {
            hand_over(current.take(), &mut take);
            current = Some((keys.map(str::to_string), [const { Vec::new() }; N]));
        }
        for (index, values) in current.iter_mut().flat_map(|(_, values)| values).enumerate() {
            values.push(table.number(line, record, KEYS.len() + index)?);
        }
        Ok(())
    })?;
    hand_over(current, &mut take);
    if rows == 0 {
        return Err(Error::Data(format!("{} has no rows below its column names; give it some", table.place)));
    }
    Ok(Source { path: path.to_path_buf(), checksum, rows, notices })
}

fn hand_over<const N: usize>(
    run: Option<([String; 3], [Vec<f64>; N])>,
    take: &mut impl FnMut(Replicate, [Vec<f64>; N]),
) {
    if let Some(([model, data_set, replicate], values)) = run {
        take(Replicate { model, data_set, replicate }, values);
    }
}

/// A table: how it is written, and where its wanted columns stand.
struct Table<'a> {
    /// What the file is called in messages.
    place: String,
    text: &'a str,
    separator: u8,
    /// Number of fields of each row.
    fields: usize,
    /// Places of the wanted columns in a row, and their names in the file. Those after [`KEYS`] hold numbers.
    columns: Vec<(usize, String)>,
    decimal_comma: bool,
}

impl<'a> Table<'a> {
    /// Finds out how a table is written that has the columns `wanted`.
    fn new(place: String, text: &'a str, wanted: &[&str], notices: &mut Vec<String>) -> Result<Self> {
        let score = |names: &StringRecord| wanted.iter().filter(|name| !columns_of(names, name).is_empty()).count();
        // Of equals the first one.
        let mut written = SEPARATORS.map(|separator| (separator, first_row(text, separator.0)));
        written.sort_by_key(|(_, names)| std::cmp::Reverse(score(names)));
        let [((separator, called), names), ..] = written;
        let mut columns = Vec::new();
        for name in wanted {
            let shown = || names.iter().collect::<Vec<_>>().join(", ");
            match columns_of(&names, name)[..] {
                [column] => columns.push((column, names[column].to_string())),
                [] => {
                    let is_comment = |line: &str| line.starts_with('#') && plain(line).contains(&plain(name));
                    let advice = match text.lines().any(is_comment) {
                        true => "the line of its names begins with #, as a comment does; take that away",
                        false => "name it so",
                    };
                    let separated = if separator == b',' { String::new() } else { format!(" (separated by {called})") };
                    return Err(Error::Data(format!(
                        "{place} has no column {name}, but {}{separated}; {advice}",
                        shown()
                    )));
                }
                _ => {
                    return Err(Error::Data(format!(
                        "{place} has several columns that may be {name}: {}; name one of them so",
                        shown()
                    )));
                }
            }
        }
        let renamed = columns.iter().zip(wanted).filter(|((_, found), name)| found != *name);
        let renamed: Vec<String> = renamed.map(|((_, found), name)| format!("{found} as {name}")).collect();
        if !renamed.is_empty() {
            notices.push(format!("{place}: columns are read by like names: {}", renamed.join(", ")));
        }
        if separator != b',' {
            notices.push(format!("{place}: its columns are separated by {called}; they are read as that"));
        }
        let comments = text.lines().filter(|line| line.starts_with('#')).count();
        if comments > 0 {
            notices.push(format!("{place}: lines that begin with # are left out as comments: {comments}"));
        }
        let mut table = Self { place, text, separator, fields: names.len(), columns, decimal_comma: false };
        table.count_fields(&names, notices);
        table.find_decimal_comma(notices)?;
        Ok(table)
    }

    /// Looks at the first row below the names, which may have one field more.
    fn count_fields(&mut self, names: &StringRecord, notices: &mut Vec<String>) {
        let mut rows = reader(self.text, self.separator).into_records();
        let Some(Ok(first)) = rows.nth(1).filter(|row| row.as_ref().is_ok_and(|row| row.len() == names.len() + 1))
        else {
            return;
        };
        self.fields += 1;
        // A separator at the end of each line makes an empty last field; R gives rows names without a name above them.
        if !first[names.len()].is_empty() {
            self.columns.iter_mut().for_each(|(column, _)| *column += 1);
            notices.push(format!(
                "{}: rows have one field more than there are column names; the first is taken for the row's name, as R writes it",
                self.place
            ));
        }
    }

    /// Finds out what a comma in numbers means.
    fn find_decimal_comma(&mut self, notices: &mut Vec<String>) -> Result<()> {
        let (mut has_point, mut may_be_thousands, mut first_comma) = (false, true, None);
        self.rows(|line, record| {
            for index in KEYS.len()..self.columns.len() {
                let field = &record[self.columns[index].0];
                has_point |= field.contains('.');
                if field.contains(',') {
                    may_be_thousands &= field.split(',').skip(1).all(|group| group.len() == 3);
                    first_comma.get_or_insert_with(|| format!("{} holds \"{field}\"", self.field(line, index)));
                }
            }
            Ok(())
        })?;
        let Some(first) = first_comma else { return Ok(()) };
        if has_point || may_be_thousands {
            return Err(Error::Data(format!(
                "{first}: the comma may separate thousands or decimals; write numbers without thousands separators, and with a \
                 decimal point"
            )));
        }
        self.decimal_comma = true;
        notices.push(format!("{first}: commas in numbers are read as decimal commas"));
        Ok(())
    }

    /// Hands over each row below the column names, with its line.
    fn rows(&self, mut take: impl FnMut(u64, &StringRecord) -> Result<()>) -> Result<()> {
        let Self { place, fields, .. } = self;
        let mut reader = reader(self.text, self.separator);
        let mut record = StringRecord::new();
        let mut is_names = true;
        while reader
            .read_record(&mut record)
            .map_err(|error| Error::Data(format!("{place}: {error}; correct the file")))?
        {
            if std::mem::take(&mut is_names) {
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != *fields {
                return Err(Error::Data(format!(
                    "{place}, line {line}: {} fields under {fields} column names; correct the file",
                    record.len()
                )));
            }
            take(line, &record)?;
        }
        Ok(())
    }

    /// A wanted column of a line, as messages name it.
    fn field(&self, line: u64, index: usize) -> String {
        format!("{}, line {line}: column {}", self.place, self.columns[index].1)
    }

    /// The number in a wanted column.
    fn number(&self, line: u64, record: &StringRecord, index: usize) -> Result<f64> {
        let field = &record[self.columns[index].0];
        let parsed = if self.decimal_comma { field.replacen(',', ".", 1).parse() } else { field.parse() };
        parsed.ok().filter(|number: &f64| number.is_finite() && *number >= 0.0).ok_or_else(|| {
            let at = self.field(line, index);
            Error::Data(format!("{at} holds \"{field}\"; write a number of 0 or more, or leave the row out"))
        })
    }
}

/// The fields of the first row, if it can be read with this separator.
fn first_row(text: &str, separator: u8) -> StringRecord {
    reader(text, separator).into_records().next().and_then(std::result::Result::ok).unwrap_or_default()
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .trim(Trim::All)
        .delimiter(separator)
        .comment(Some(b'#'))
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes())
}

/// Places of the columns of this name; if none is exactly so, of those that differ in capitals and signs: `Data.Set`.
fn columns_of(names: &StringRecord, wanted: &str) -> Vec<usize> {
    let like =
        |same: &dyn Fn(&str) -> bool| (0..names.len()).filter(|&column| same(&names[column])).collect::<Vec<_>>();
    let exact = like(&|name| name == wanted);
    if exact.is_empty() { like(&|name| plain(name) == plain(wanted)) } else { exact }
}

/// The letters and digits of a name, in small letters.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::tempdir;

    /// What `read` makes of a file of these bytes, and its notices.
    fn of<T>(bytes: &[u8], read: fn(&Path) -> Result<(T, Source)>) -> Result<(T, Vec<String>)> {
        let folder = tempdir().unwrap();
        let path = folder.path().join("o.csv");
        fs::write(&path, bytes).unwrap();
        let (found, Source { checksum, notices, .. }) = read(&path)?;
        assert_eq!(checksum, HEXLOWER.encode(&Sha256::digest(bytes)), "the checksum is that of the file");
        Ok((found, notices))
    }

    fn observations(text: &str) -> Result<Observations> {
        of(text.as_bytes(), read_observations).map(|found| found.0)
    }

    fn stable_weights(text: &str) -> Result<StableWeights> {
        of(text.as_bytes(), read_stable_weights).map(|found| found.0)
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
        let found = stable_weights(&format!("{head}m,d,1,2,30\nm,d,1,1,10\n")).unwrap();
        assert_eq!(found.into_values().collect::<Vec<_>>(), [[(1, 10.0), (2, 30.0)]]);
        let twice = stable_weights(&format!("{head}m,d,1,2,30\nm,d,2,2,1\nm,d,1,2,10\n")).unwrap_err().to_string();
        assert!(twice.contains("m on d, replicate 1 has epoch 2 twice"), "{twice}");
        let half = stable_weights(&format!("{head}m,d,1,1.5,30\n")).unwrap_err().to_string();
        assert!(half.contains("has epoch 1.5"), "{half}");
    }

    const PLAIN: &str = "model,data_set,replicate,stability\nm,d,1,3\nm,d,1,4\nm,e,2,3\n";

    #[test]
    fn tables_are_read_as_spreadsheets_and_r_and_pandas_write_them() {
        let (expected, said) = of(PLAIN.as_bytes(), read_observations).unwrap();
        assert_eq!(said, [""; 0]);
        let (head, rows) = PLAIN.split_once('\n').unwrap();
        let numbered: String =
            rows.lines().enumerate().map(|(index, row)| format!("\"{}\",{row}\n", index + 1)).collect();
        let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.into_iter().chain(PLAIN.encode_utf16().flat_map(bytes)).collect()
        };
        for (text, words) in [
            (PLAIN.replace(',', ";").into_bytes(), Some("semicolons")),
            (PLAIN.replace(',', "\t").into_bytes(), Some("tabs")),
            (PLAIN.replace(',', "|").into_bytes(), Some("bars")),
            (PLAIN.replace(',', " ").into_bytes(), Some("spaces")),
            (PLAIN.replace(',', ";").replace(";3\n", ";3,0\n").into_bytes(), Some("decimal commas")),
            (PLAIN.replace(",3\n", ",\"3,0\"\n").into_bytes(), Some("decimal commas")),
            (format!("\u{feff}{}", PLAIN.replace('\n', "\r\n")).into_bytes(), None),
            (PLAIN.replace('\n', "\r").into_bytes(), None),
            (PLAIN.replace('\n', "\n\n").into_bytes(), None),
            (PLAIN.replace('\n', ",\n").into_bytes(), None),
            (format!("{head}\n{}", rows.replace('\n', ",\n")).into_bytes(), None),
            (format!("# made by hand\n{PLAIN}# the end\n").into_bytes(), Some("comments: 2")),
            (format!("Model,Data.Set,REPLICATE,Stability\n{rows}").into_bytes(), Some("Data.Set as data_set")),
            (format!("\"\",{head}\n{numbered}").into_bytes(), None),
            (format!("{head}\n{numbered}").into_bytes(), Some("one field more")),
            (utf16([0xff, 0xfe], u16::to_le_bytes), Some("UTF-16")),
            (utf16([0xfe, 0xff], u16::to_be_bytes), Some("UTF-16")),
        ] {
            let shown = String::from_utf8_lossy(&text).into_owned();
            let (found, said) = of(&text, read_observations).unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(found, expected, "{shown}");
            match words {
                Some(words) => assert!(said.iter().any(|said| said.contains(words)), "{words:?} is not in {said:?}"),
                None => assert_eq!(said, [""; 0], "{shown}"),
            }
        }
    }

    #[test]
    fn every_fault_and_what_can_be_read_in_two_ways_is_refused_with_its_place() {
        let at = "line 2: column stability";
        let latin: Vec<u8> = PLAIN.replace("m,", "caf\u{e9},").chars().map(|letter| letter as u8).collect();
        let head = "model,data_set,replicate,stability\n";
        for (text, words) in [
            ("model,data_set,replicate,ms\nm,d,1,5\n".into(), &["o.csv has no column stability", "replicate, ms"][..]),
            (format!("{head}m,d,1,5\nm,d,1,much\n").into_bytes(), &["o.csv, line 3: column stability", "\"much\""]),
            (format!("{head}m,d,1,NaN\n").into_bytes(), &[at, "\"NaN\""]),
            (format!("{head}m,d,1,-1\n").into_bytes(), &[at, "0 or more"]),
            (format!("{head}m,,1,1\n").into_bytes(), &["line 2: column data_set", "is empty"]),
            (format!("{head}m,d,1,1\nm,d,1\n").into_bytes(), &["line 3: 3 fields under 4 column names", "correct"]),
            (head.into(), &["no rows"]),
            (PLAIN.replace(",3\n", ",\"1,003\"\n").into_bytes(), &[at, "1,003", "thousands"]),
            (PLAIN.replace(",3\n", ",\"1.003,5\"\n").into_bytes(), &[at, "1.003,5"]),
            (PLAIN.replacen(",3\n", ",NA\n", 1).into_bytes(), &[at, "\"NA\""]),
            (PLAIN.replacen(",3\n", ",.\n", 1).into_bytes(), &[at, "\".\""]),
            (PLAIN.replacen(",3\n", ",1 003\n", 1).into_bytes(), &[at, "1 003"]),
            (PLAIN.replace(",4\n", "\n").into_bytes(), &["line 3", "3 fields", "4"]),
            (PLAIN.replace(',', ";").replace("stability", "ms").into_bytes(), &["stability", "semicolons"]),
            (format!("# {PLAIN}").into_bytes(), &["no column model", "#"]),
            (PLAIN.replace("model", "Model,MODEL").into_bytes(), &["several columns", "MODEL"]),
            (latin, &["line 2", "UTF-8"]),
            (PLAIN.encode_utf16().flat_map(u16::to_le_bytes).collect(), &["UTF-16"]),
            (b"[{\"model\": 1}]".to_vec(), &["JSON", "CSV"]),
            (Vec::new(), &["empty"]),
        ] {
            let error = of(&text, read_observations).unwrap_err();
            assert!(matches!(error, Error::Data(_)));
            for word in [words, &["o.csv"]].concat() {
                assert!(error.to_string().contains(word), "{word:?} is not in {error}");
            }
        }
        let missing = read_observations(Path::new("no.csv")).unwrap_err();
        assert!(matches!(missing, Error::Data(_)) && missing.to_string().contains("check the path"), "{missing}");
    }
}
