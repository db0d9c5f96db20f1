//! A device that goes away in the middle of training.

use crate::adapter;
use crate::fixture::{self, Fixture};
use holdfast::engine::{Engine, Watch};
use holdfast::error::{Error, Result};
use holdfast::gpu::{DeviceChoice, Gpu, RequestedLimits};
use holdfast::network::Selection;
use holdfast::training::{CheckpointFile, Plan, Trained, train};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const EPOCHS: u32 = 12;
/// How often the device goes away.
const MOMENTS: u64 = 10;

/// What happens to a run that has done so many replica-steps.
type Event = fn(&Gpu, &AtomicBool);

/// Trains two replicas on a device that is opened anew.
fn run(fixture: &Fixture, file: Option<&CheckpointFile>, after: u64, event: Event) -> Result<Trained> {
    let mut engine = Engine::gpu(&DeviceChoice::Index(adapter::index()), false, RequestedLimits::Adapter)?;
    let gpu = Arc::clone(engine.device().unwrap());
    let data = (engine.load(&Arc::new(fixture.data.clone()))?, &fixture.data);
    let selection = Selection::focus(&fixture.architecture);
    let plan = Plan::new((&fixture.architecture, &selection), data, &[0, 1], EPOCHS);
    let plan = Plan { batch: fixture.batch, seed: 5, ..plan };
    let (stop, steps) = (AtomicBool::new(false), AtomicU64::new(0));
    let progress = |done: u64| {
        if steps.fetch_add(done, Ordering::Relaxed) < after && steps.load(Ordering::Relaxed) >= after {
            event(&gpu, &stop);
        }
    };
    train(&mut engine, &plan, file, &Watch { stop: &stop, progress: &progress }, &|_| {})
}

#[test]
fn a_device_lost_in_the_middle_is_said_and_the_next_run_goes_on_to_the_same_bits() {
    let fixture = &fixture::all()[0];
    let folder = tempfile::tempdir().unwrap();
    let file = CheckpointFile::new(folder.path().join("train.checkpoint"), "session".into());
    let nothing: Event = |_, _| {};
    let undisturbed = run(fixture, None, 0, nothing).unwrap();
    let all_steps = u64::from(EPOCHS) * 2 * fixture.data.samples().div_ceil(fixture.batch) as u64;

    // A stop leaves a checkpoint behind; then the device goes away, again and again.
    let stopped = run(fixture, Some(&file), all_steps / 3, |_, stop| stop.store(true, Ordering::Relaxed));
    assert!(matches!(stopped.map(|_| ()), Err(Error::Interrupted)));
    let checkpoint = std::fs::read(file.path()).unwrap();
    let moments: Vec<u64> = (0..MOMENTS).map(|moment| 1 + moment * (all_steps * 2 / 3 - 1) / MOMENTS).collect();
    for &after in &moments {
        let error = run(fixture, Some(&file), after, |gpu, _| gpu.destroy()).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 6, "{error}");
        assert!(error.to_string().contains("run the same command again"), "{error}");
        assert!(std::fs::read(file.path()).unwrap() == checkpoint, "the checkpoint was touched");
    }
    let resumed = run(fixture, Some(&file), 0, nothing).unwrap();
    assert!(resumed.resumed && !undisturbed.resumed);
    assert_eq!(resumed.focus_hashes, undisturbed.focus_hashes);
    // `tests/reliability/run.py` reads this line.
    println!("rehearsed: taken away at {MOMENTS} moments; exit code 6, checkpoint untouched, then the same bits");
}

#[test]
fn a_device_lost_before_the_first_step_is_said() {
    let mut engine = Engine::gpu(&DeviceChoice::Index(adapter::index()), false, RequestedLimits::Adapter).unwrap();
    engine.device().unwrap().destroy();
    let fixture = &fixture::all()[0];
    let error = engine.load(&Arc::new(fixture.data.clone())).unwrap_err();
    assert_eq!(error.exit_code(), 6, "{error}");
}
