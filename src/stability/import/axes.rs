//! What the axes of somebody's array are: epochs, replicas, and those of a layer's weights.

use crate::error::{Error, Result};
use std::path::Path;

/// The name of the axis of epochs.
const EPOCH: &str = "epoch";
/// The name of the axis of networks.
const REPLICA: &str = "replica";
/// All other axes.
const REST: &str = "...";
/// Other words for these two, which would be read as axes of the layer.
const OTHER_WORDS: [(&str, &str); 2] = [
    (EPOCH, "epochs step steps iteration iterations time checkpoint snapshot"),
    (
        REPLICA,
        "replicas replicate replicates seed seeds run runs network networks net nets model models trial trials repeat repeats \
         repetition",
    ),
];

/// What is known of the axes of an array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Axes {
    /// Nothing: two axes are epochs and weights, more are refused where they can be read in two ways.
    #[default]
    Unknown,
    /// The first counts epochs, all others belong to the one network's layer.
    OneNetwork,
    /// `[epoch, replica, ...]`, as this program writes it.
    Own,
    /// Their names, see [`Axes::parse`].
    Named(Vec<String>),
}

/// How an array is read: its axes in the order epoch, replica, those of the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Places of the array's axes in that order; without `replica`, if there is none.
    pub(super) order: Vec<usize>,
    /// Whether the second of them counts replicas.
    pub(super) has_replicas: bool,
    /// Names of the layer's axes; empty if they have none.
    pub(super) names: Vec<String>,
}

impl Axes {
    /// Reads `epoch,out,in`: a name for each axis, one of them `epoch`, and `replica` where there are several networks. Of tensors
    /// with different axes `epoch,...` or `epoch,replica,...` says what they have in common.
    ///
    /// Fails with [`Error::Usage`] if there is no `epoch`, no axis of weights, an empty name, a name that comes twice, or one
    /// that looks like a slip of the two that mean something.
    pub fn parse(text: &str) -> Result<Self> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_string()).collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [EPOCH, REST] => return Ok(Self::OneNetwork),
            [EPOCH, REPLICA, REST] => return Ok(Self::Own),
            _ => {}
        }
        let refused = |why: String| {
            Err(Error::Usage(format!(
                "--axes {text}: {why}; write for instance --axes epoch,out,in or epoch,replica,weight"
            )))
        };
        if names.iter().any(String::is_empty) {
            return refused("a name is empty".into());
        }
        if names.iter().any(|name| name == REST) {
            return refused(format!("{REST} can only be written as {EPOCH},{REST} or {EPOCH},{REPLICA},{REST}"));
        }
        for (place, name) in names.iter().enumerate() {
            if names[..place].iter().any(|other| other.to_lowercase() == name.to_lowercase()) {
                return refused(format!("{name} comes twice"));
            }
            let small = name.to_lowercase();
            for (meant, words) in OTHER_WORDS {
                let is_given = names.iter().any(|name| name == meant);
                let is_slip = small != meant && strsim::damerau_levenshtein(&small, meant) <= 2;
                if name != meant
                    && !is_given
                    && (small == meant || is_slip || words.split(' ').any(|word| word == small))
                {
                    return refused(format!("{name} is not known; if it counts {meant}s, its name is {meant}"));
                }
            }
        }
        if !names.iter().any(|name| name == EPOCH) {
            return refused("none of them is epoch".into());
        }
        if names.iter().all(|name| name == EPOCH || name == REPLICA) {
            return refused("none of them is an axis of weights".into());
        }
        Ok(Self::Named(names))
    }

    /// How an array of this shape is read; `from_names` says that its first axis, the epochs, comes from names of arrays or
    /// files.
    ///
    /// Fails with [`Error::Usage`] if the names do not fit, or if there are none and the array can be read in two ways.
    pub(super) fn layout(&self, path: &Path, shape: &[usize], from_names: bool) -> Result<Layout> {
        let in_order = |has_replicas| Layout { order: (0..shape.len()).collect(), has_replicas, names: Vec::new() };
        let names = match self {
            Self::OneNetwork => return Ok(in_order(false)),
            Self::Own => return Ok(in_order(shape.len() > 2)),
            // One network is one network, whichever of the two readings.
            Self::Unknown if shape.len() < 3 => return Ok(in_order(false)),
            Self::Unknown if shape[1] == 1 => return Ok(in_order(true)),
            Self::Unknown => return Err(two_readings(path, shape)),
            Self::Named(names) => names,
        };
        if names.len() != shape.len() {
            let epochs = if from_names { "; the epochs, which come from the names, count as an axis" } else { "" };
            return Err(Error::Usage(format!(
                "--axes {} has {} names, but {} has {} axes, of the sizes {shape:?}{epochs}; give each axis a name",
                names.join(","),
                names.len(),
                path.display(),
                shape.len()
            )));
        }
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        // `parse` has seen the epoch; without it the first axis would count.
        let (epoch, replica) = (place(EPOCH).unwrap_or(0), place(REPLICA));
        let is_of_layer = |place: &usize| *place != epoch && Some(*place) != replica;
        let of_layer: Vec<usize> = (0..names.len()).filter(is_of_layer).collect();
        let mut order: Vec<usize> = [epoch].into_iter().chain(replica).chain(of_layer.iter().copied()).collect();
        if from_names {
            // The epochs lie first already, whichever place their name has.
            order
                .iter_mut()
                .for_each(|place| *place = if *place == epoch { 0 } else { *place + usize::from(*place < epoch) });
        }
        let names = of_layer.iter().map(|&place| names[place].clone()).collect();
        Ok(Layout { order, has_replicas: replica.is_some(), names })
    }
}

/// The refusal of an array that can be read in two ways.
fn two_readings(path: &Path, shape: &[usize]) -> Error {
    let sizes = |axes: &[usize]| axes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let (epochs, replicas) = (shape[0], shape[1]);
    let weights = match &shape[2..] {
        [weights] => format!("{weights} weights"),
        axes => format!("a {} layer", sizes(axes)),
    };
    let readings = [
        (
            format!("--axes {EPOCH},{}", names(shape.len() - 1)),
            format!("{epochs} epochs of one network's {} layer (short: --no-replica-axis)", sizes(&shape[1..])),
        ),
        (
            format!("--axes {EPOCH},{REPLICA},{}", names(shape.len() - 2)),
            format!("{epochs} epochs x {replicas} replicas of {weights}"),
        ),
    ];
    let width = readings.iter().map(|(option, _)| option.len()).max().unwrap_or(0);
    let lines = readings.map(|(option, meaning)| format!("\n  {option:width$}   {meaning}"));
    Error::Usage(format!(
        "{} has the sizes {shape:?}, which can be read in two ways; say which by adding one of these:{}",
        path.display(),
        lines.concat()
    ))
}

/// Names for so many axes of a layer.
fn names(count: usize) -> String {
    match count {
        1 => "weight".into(),
        2 => "out,in".into(),
        3 => "out,in,k".into(),
        4 => "out,in,ky,kx".into(),
        _ => (1..=count).map(|axis| format!("axis{axis}")).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(names: &str, shape: &[usize], from_names: bool) -> (Vec<usize>, bool, String) {
        let read = Axes::parse(names).unwrap().layout(Path::new("h"), shape, from_names).unwrap();
        (read.order, read.has_replicas, read.names.join(","))
    }

    #[test]
    fn names_say_what_axes_are_wherever_they_stand() {
        assert_eq!(layout("epoch,out,in", &[4, 3, 2], false), (vec![0, 1, 2], false, "out,in".into()));
        assert_eq!(layout("out, in, epoch", &[3, 2, 4], false), (vec![2, 0, 1], false, "out,in".into()));
        assert_eq!(layout("replica,epoch,weight", &[3, 4, 2], false), (vec![1, 0, 2], true, "weight".into()));
        assert_eq!(layout("epoch,weight", &[4, 2], false), (vec![0, 1], false, "weight".into()));
        // The epochs of numbered arrays lie first, whatever is said.
        assert_eq!(layout("out,epoch,in", &[4, 3, 2], true), (vec![0, 1, 2], false, "out,in".into()));
        assert_eq!(layout("out,replica,epoch", &[4, 3, 2], true), (vec![0, 2, 1], true, "out".into()));
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        for (names, words) in [
            ("", "empty"),
            ("epoch,,in", "empty"),
            ("epoch,in,", "empty"),
            ("epoch,in,in", "in comes twice"),
            ("epoch,In,in", "comes twice"),
            ("out,in", "none of them is epoch"),
            ("epoch", "axis of weights"),
            ("epoch,replica", "axis of weights"),
            ("epochs,out,in", "its name is epoch"),
            ("Epoch,out,in", "its name is epoch"),
            ("epcoh,out,in", "its name is epoch"),
            ("epoch,replicas,in", "its name is replica"),
            ("epoch,seed,in", "its name is replica"),
            ("epoch,Replica,in", "its name is replica"),
            ("epoch,out,...", "epoch,replica,..."),
        ] {
            let error = Axes::parse(names).unwrap_err();
            assert!(matches!(error, Error::Usage(_)) && error.to_string().contains(words), "{names}: {error}");
        }
        for names in ["epoch,out,in", "epoch,ky,kx,in,out", "epoch,replica,row,column", "epoch,model,replica,x"] {
            assert!(Axes::parse(names).is_ok(), "{names}");
        }
    }

    #[test]
    fn two_readings_are_spelled_out_with_their_sizes() {
        for (shape, one, several) in [
            (&[12, 16, 16][..], "--axes epoch,out,in ", "--axes epoch,replica,weight "),
            (&[12, 5, 16, 8], "--axes epoch,out,in,k ", "--axes epoch,replica,out,in "),
        ] {
            let error = Axes::Unknown.layout(Path::new("h.npy"), shape, false).unwrap_err();
            assert!(matches!(error, Error::Usage(_)));
            let message = error.to_string();
            let places = [one, several, "12 epochs of one network's", "12 epochs x"].map(|words| message.find(words));
            assert!(places.iter().all(Option::is_some), "{message}");
            // What is printed can be typed.
            for names in [one, several] {
                let axes = Axes::parse(names.trim_start_matches("--axes ").trim()).unwrap();
                assert!(axes.layout(Path::new("h.npy"), shape, false).is_ok());
            }
        }
        let wrong = Axes::parse("epoch,in").unwrap().layout(Path::new("h.npy"), &[4, 3, 2], false).unwrap_err();
        assert!(matches!(wrong, Error::Usage(_)) && wrong.to_string().contains("[4, 3, 2]"), "{wrong}");
    }
}
