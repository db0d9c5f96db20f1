//! One part of a study that several processes train together.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Part `index` of `of`: of every model and data set the replicas index − 1, index − 1 + of, index − 1 + 2 of, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, counted from 1.
    pub index: u32,
    /// Number of parts.
    pub of: u32,
}

impl Shard {
    /// The one part of a study in one piece.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// The replicas of this part, ascending.
    ///
    /// Fails with [`Error::Usage`] if there are none: more parts than replicas.
    pub fn replicas(self, replicates: u32) -> Result<Vec<u32>> {
        let replicas: Vec<u32> = (self.index - 1..replicates).step_by(self.of as usize).collect();
        if replicas.is_empty() {
            return Err(Error::Usage(format!(
                "--shard {self} has nothing to train: there are {replicates} replicates to share out; use {replicates} shards \
                 or fewer"
            )));
        }
        Ok(replicas)
    }

    /// Name of its folder, e.g. `2-of-3`.
    pub fn folder_name(self) -> String {
        format!("{}-of-{}", self.index, self.of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("{text:?} is no part of a whole; write I/N with I from 1 to N, e.g. 2/3")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shards_of_a_study_have_every_replica_once() {
        for (replicates, of) in [(50, 3), (5, 5), (7, 2), (4, 1)] {
            let mut all: Vec<u32> =
                (1..=of).flat_map(|index| Shard { index, of }.replicas(replicates).unwrap()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..replicates).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_shard_without_replicas_is_refused() {
        let error = Shard { index: 4, of: 4 }.replicas(3).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("3 shards or fewer"), "{error}");
    }

    #[test]
    fn shards_are_written_as_a_part_of_a_whole() {
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, of: 3 }));
        assert_eq!(Shard { index: 2, of: 3 }.to_string(), "2/3");
        for text in ["0/3", "4/3", "1/0", "1", "a/b", "-1/3", "1/2/3", ""] {
            assert!(text.parse::<Shard>().unwrap_err().contains("1 to N"), "{text}");
        }
    }
}
