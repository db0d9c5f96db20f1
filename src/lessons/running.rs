//! A text that says itself what it wants to be run with: its result is shown, not checked.
//!
//! `// run: 2 workgroups; x = 0..8; y = 16 zeros; z = 1 2.5` launches two workgroups; `x` counts from 0 to 7, `y` is 16
//! zeros, `z` has two numbers. What is not said is one workgroup, and arrays of 64 elements: those that are only read count from 0.

use crate::error::{Error, Result};
use crate::gpu::{Buffer, DeclaredArray, Gpu, Number, Program, Recorder, read_back};

/// Elements of an array that nothing is said about.
const ELEMENTS: usize = 64;
/// Bytes of an array at most: what is shown is small.
const MOST_ELEMENTS: usize = 1 << 20;

/// What an array holds in the beginning.
#[derive(Clone, Debug, PartialEq)]
enum Given {
    /// Whole numbers from the first up to before the second.
    Counting(i64, i64),
    /// So many zeros.
    Zeros(usize),
    /// These.
    Numbers(Vec<f64>),
}

/// What a text says about its launch.
#[derive(Clone, Debug, Default, PartialEq)]
struct Setup {
    workgroups: Option<[u32; 3]>,
    arrays: Vec<(String, Given)>,
}

/// An array that a text wrote, element by element.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its numbers, as they are written.
    pub numbers: Vec<String>,
}

/// Runs a text, `name` for errors, and gives the arrays that it may write.
///
/// Fails with [`Error::Data`] if it is not WGSL, or says something about its launch that cannot be, with [`Error::SelfCheck`] if
/// a loop does not end, and where the device fails.
pub fn run(gpu: &Gpu, name: &str, text: &str) -> Result<Vec<Written>> {
    let program = Program::of_reader(name, text)?;
    let setup = Setup::read(text).map_err(|fault| Error::Data(format!("{name}: {fault}")))?;
    let known = |array: &str| program.arrays.iter().any(|declared| declared.name == array);
    if let Some((array, _)) = setup.arrays.iter().find(|(array, _)| !known(array)) {
        return Err(Error::Data(format!("{name}: `// run:` speaks of `{array}`, which the text does not bind")));
    }
    let mut buffers = Vec::new();
    for array in &program.arrays {
        let words = setup.words(array);
        if words.len() > MOST_ELEMENTS {
            let (own, most) = (&array.name, MOST_ELEMENTS);
            return Err(Error::Data(format!(
                "{name}: `{own}` would have {} words, and {most} can be shown",
                words.len()
            )));
        }
        buffers.push(Buffer::from_slice(gpu, &array.name, &words)?);
    }
    let cut = Buffer::<u32>::new(gpu, "cut", 1)?;
    let bound: Vec<&dyn crate::gpu::Bindable> =
        buffers.iter().chain([&cut]).map(|buffer| buffer as &dyn crate::gpu::Bindable).collect();
    let bound = program.compile(gpu)?.bind(gpu, &bound)?;
    let mut recorder = Recorder::new(gpu, name);
    recorder.dispatch(&bound, setup.workgroups.unwrap_or([1; 3]), None)?;
    recorder.submit()?.wait()?;
    if read_back(gpu, &cut)? != [0] {
        return Err(Error::SelfCheck(format!("{name}: a loop did not end within 50,000 rounds, and was left")));
    }
    let written = program.arrays.iter().zip(&buffers).filter(|(array, _)| array.is_written);
    written
        .map(|(array, buffer)| {
            Ok(Written { name: array.name.clone(), numbers: shown(array, &read_back(gpu, buffer)?) })
        })
        .collect()
}

impl Setup {
    /// Reads the line `// run:` of a text, if it has one.
    fn read(text: &str) -> std::result::Result<Self, String> {
        let mut setup = Self::default();
        let Some(line) = text.lines().find_map(|line| line.trim().strip_prefix("// run:")) else {
            return Ok(setup);
        };
        for item in line.split(';').map(str::trim).filter(|item| !item.is_empty()) {
            let fault = || {
                format!(
                    "`{item}` is not understood; `// run: 2 x 1 workgroups; x = 0..8; y = 16 zeros; z = 1 2.5` is how it is said"
                )
            };
            if let Some((array, value)) = item.split_once('=') {
                let value = value.trim();
                let given = if let Some((first, end)) = value.split_once("..") {
                    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| fault());
                    Given::Counting(number(first)?, number(end)?)
                } else if let Some(count) = value.strip_suffix(" zeros").or(value.strip_suffix(" zero")) {
                    Given::Zeros(count.parse().map_err(|_| fault())?)
                } else {
                    let numbers = value.split_whitespace().map(|word| word.parse::<f64>().map_err(|_| fault()));
                    Given::Numbers(numbers.collect::<std::result::Result<_, _>>()?)
                };
                setup.arrays.push((array.trim().into(), given));
                continue;
            }
            let sides = item.strip_suffix("workgroups").or(item.strip_suffix("workgroup")).ok_or_else(fault)?;
            let sides: Vec<u32> = sides
                .split('x')
                .map(|side| side.trim().parse().map_err(|_| fault()))
                .collect::<std::result::Result<_, _>>()?;
            let side = |axis: usize| sides.get(axis).copied().unwrap_or(1);
            setup.workgroups = Some([side(0), side(1), side(2)]);
        }
        Ok(setup)
    }

    /// The words of an array in the beginning.
    fn words(&self, array: &DeclaredArray) -> Vec<u32> {
        let numbers: Vec<f64> = match self.arrays.iter().find(|(name, _)| *name == array.name).map(|(_, given)| given) {
            Some(Given::Numbers(numbers)) => numbers.clone(),
            Some(&Given::Counting(first, end)) => (first..end).map(|number| number as f64).collect(),
            Some(&Given::Zeros(count)) => vec![0.0; count],
            None if array.is_written => vec![0.0; ELEMENTS * numbers_of(array)],
            None => (0..ELEMENTS * numbers_of(array)).map(|number| number as f64).collect(),
        };
        let mut numbers = numbers.into_iter();
        let mut words = Vec::new();
        while numbers.len() > 0 {
            words.extend(array.element.iter().map(|kind| match kind {
                Number::Padding => 0,
                Number::Float => (numbers.next().unwrap_or(0.0) as f32).to_bits(),
                Number::Signed => numbers.next().unwrap_or(0.0) as i32 as u32,
                Number::Unsigned => numbers.next().unwrap_or(0.0) as u32,
            }));
        }
        words
    }
}

/// Numbers of an element, its padding left out.
fn numbers_of(array: &DeclaredArray) -> usize {
    array.element.iter().filter(|&&kind| kind != Number::Padding).count()
}

/// Words as the numbers that they stand for.
fn shown(array: &DeclaredArray, words: &[u32]) -> Vec<String> {
    let number = |(&word, kind): (&u32, &Number)| match kind {
        Number::Padding => None,
        Number::Float => Some(f32::from_bits(word).to_string()),
        Number::Signed => Some((word as i32).to_string()),
        Number::Unsigned => Some(word.to_string()),
    };
    words.iter().zip(array.element.iter().cycle()).filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_how_it_is_launched_and_what_its_arrays_hold() {
        let setup = Setup::read("// A text.\n// run: 2 x 3 workgroups; x = -1..2; y = 16 zeros; z = 1 2.5\n").unwrap();
        assert_eq!(setup.workgroups, Some([2, 3, 1]));
        let given = [Given::Counting(-1, 2), Given::Zeros(16), Given::Numbers(vec![1.0, 2.5])];
        assert_eq!(setup.arrays, ["x", "y", "z"].map(String::from).into_iter().zip(given).collect::<Vec<_>>());
        let setup = Setup::read("// run: a = 2; b = 1 zero").unwrap();
        assert_eq!(setup.arrays, [("a".into(), Given::Numbers(vec![2.0])), ("b".into(), Given::Zeros(1))]);
        assert_eq!(Setup::read("fn main() {}").unwrap(), Setup::default());
        for line in ["// run: x", "// run: a workgroups", "// run: x = 1..y", "// run: x = one", "// run: x = a zeros"]
        {
            assert!(Setup::read(line).unwrap_err().contains("not understood"), "{line}");
        }
    }

    #[test]
    fn arrays_are_filled_and_shown_by_what_their_words_stand_for() {
        let float = Number::Float;
        let element = vec![float, float, float, Number::Padding];
        let array = DeclaredArray { name: "x".into(), is_written: false, element };
        let setup = Setup { workgroups: None, arrays: vec![("x".into(), Given::Counting(0, 6))] };
        let words = setup.words(&array);
        assert_eq!((words.len(), words[3], f32::from_bits(words[4])), (8, 0, 3.0));
        assert_eq!(shown(&array, &words).join(" "), "0 1 2 3 4 5");
        let signed = DeclaredArray { name: "y".into(), is_written: true, element: vec![Number::Signed] };
        assert_eq!(shown(&signed, &[u32::MAX, 1]), ["-1", "1"]);
        assert_eq!(Setup::default().words(&signed), vec![0; 64]);
    }
}
