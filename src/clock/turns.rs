//! Several things timed alternately: whatever else the machine does meanwhile meets all of them alike.

use crate::error::Result;
use crate::statistics::spread::Spread;
use std::time::{Duration, Instant};

/// How often things are timed.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// Rounds, in each of which everything is timed once.
    pub rounds: usize,
    /// No round begins that would end later than this, by what the warm-up took.
    pub within: Duration,
    /// Fewer rounds are enough, but not fewer than nine, once the interval of each median is no wider to either side than this share
    /// of it; 0 asks for all.
    pub enough: f64,
}

/// Rounds of which an interval leaves out the extremes, see [`Spread`].
const LEAST: usize = 9;

/// Times `things` things, numbered from 0, round after round, and gives the seconds of each, one for each round. `time` runs one
/// of them and says how many seconds count, see [`seconds`].
///
/// A round before the first warms up; its times stand only where there is no time for another.
///
/// Fails as `time` does.
pub fn by_turns(things: usize, turns: Turns, mut time: impl FnMut(usize) -> Result<f64>) -> Result<Vec<Vec<f64>>> {
    let started = Instant::now();
    let warm_up = (0..things).map(|thing| Ok(vec![time(thing)?])).collect::<Result<Vec<_>>>()?;
    let round = started.elapsed();
    let started = Instant::now();
    let mut taken: Vec<Vec<f64>> = vec![Vec::new(); things];
    for _ in 0..if things == 0 { 0 } else { turns.rounds } {
        if started.elapsed() + round > turns.within {
            break;
        }
        for (thing, taken) in taken.iter_mut().enumerate() {
            taken.push(time(thing)?);
        }
        let is_known = |taken: &Vec<f64>| Spread::of(taken).is_some_and(|spread| spread.share() <= turns.enough);
        if turns.enough > 0.0 && taken[0].len() >= LEAST && taken.iter().all(is_known) {
            break;
        }
    }
    Ok(if taken.iter().any(Vec::is_empty) { warm_up } else { taken })
}

/// What some work gives, and the seconds that it took.
///
/// Fails as the work does.
pub fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let found = work()?;
    Ok((found, start.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn every_thing_is_timed_once_a_round_in_turn_after_a_warm_up() {
        let mut calls = Vec::new();
        let turns = Turns { rounds: 3, within: Duration::MAX / 4, enough: 0.0 };
        let taken = by_turns(2, turns, |thing| {
            calls.push(thing);
            Ok(calls.len() as f64)
        });
        assert_eq!(calls, [0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(taken.unwrap(), [[3.0, 5.0, 7.0], [4.0, 6.0, 8.0]]);
    }

    #[test]
    fn rounds_end_once_everything_is_known_well_enough() {
        let turns = Turns { rounds: 30, within: Duration::MAX / 4, enough: 0.1 };
        let rounds = |time: fn(usize) -> f64| {
            let mut calls = 0;
            by_turns(1, turns, |_| {
                calls += 1;
                Ok(time(calls))
            })
            .unwrap()[0]
                .len()
        };
        assert_eq!(rounds(|_| 1.0), LEAST);
        assert_eq!(rounds(|call| call as f64), 30);
    }

    #[test]
    fn where_there_is_no_time_the_warm_up_stands_and_a_failure_ends_it() {
        let none = Turns { rounds: 3, within: Duration::ZERO, enough: 0.0 };
        let mut count = 0.0;
        let mut time = |_| {
            count += 1.0;
            // A clock that stands still would leave time for all.
            std::thread::sleep(Duration::from_micros(10));
            Ok(count)
        };
        assert_eq!(by_turns(2, none, &mut time).unwrap(), [[1.0], [2.0]]);
        assert!(by_turns(1, none, |_| Err(Error::Interrupted)).is_err());
        assert_eq!(seconds(|| Ok(5)).unwrap().0, 5);
    }
}
