//! The settings of a run folder, and whether what is accepted is possible.
#![no_main]

use holdfast::run::configuration::Configuration;
use holdfast::run::recorded::RecordedRun;
use holdfast_fuzz::{file, folder, judge};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    file("history.npz", b"");
    file("config.toml", input);
    if let Some(run) = judge(RecordedRun::open(folder())) {
        judge(run.configuration.validate());
        let text = toml::to_string(&run.configuration).expect("settings that were read can be written");
        assert!(toml::from_str::<Configuration>(&text).is_ok());
    }
});
