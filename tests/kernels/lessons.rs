//! What stands in `lessons/`: every step of every ladder is right, with and without run-time checks.

use crate::*;
use holdfast::lessons::ladder::{LADDERS, Listener, Measured, Peak, Prediction, Step};

#[test]
fn every_step_of_every_ladder_is_right() {
    for gpu in [gpu(), checked()] {
        for ladder in LADDERS {
            assert_passed(&ladder.check(gpu).unwrap());
        }
    }
}

/// Hears of a ladder, and stops behind its second step.
#[derive(Default)]
struct Heard {
    expected: Vec<f64>,
    found: Vec<bool>,
    peak: f64,
}

impl Listener for Heard {
    fn begins(&mut self, sizes: &str, peak: &Peak) -> Result<()> {
        assert!(sizes.contains(" samples, ") && peak.bytes > 0.0 && peak.launch.as_nanos() > 0, "{sizes} {peak:?}");
        self.peak = peak.operations;
        Ok(())
    }

    fn expects(&mut self, _: &Step, prediction: &Prediction) -> Result<()> {
        assert_eq!(self.expected.len(), self.found.len(), "a prediction comes before its measurement");
        let Prediction { operations, bytes, least, .. } = *prediction;
        assert!(operations > 0.0 && bytes > 0.0 && least.as_secs_f64() >= operations / self.peak * 0.999);
        self.expected.push(bytes);
        Ok(())
    }

    fn found(&mut self, _: &Step, measured: &Measured) -> Result<()> {
        assert!(measured.share > 0.0 && !measured.time.is_zero(), "{measured:?}");
        self.found.push(measured.gain.is_some());
        match self.found.len() {
            2 => Err(holdfast::error::Error::Interrupted),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_ladder_is_predicted_before_it_is_measured() {
    let gpu = open(false, RequestedLimits::WebGpuDefaults);
    let mut heard = Heard::default();
    let dense = LADDERS.iter().find(|ladder| ladder.family == "dense").unwrap();
    assert!(dense.climb(&gpu, &mut heard).is_err(), "the listener stops it");
    assert_eq!(heard.found, [false, true]);
    assert!(heard.expected[0] > heard.expected[1]);
}
