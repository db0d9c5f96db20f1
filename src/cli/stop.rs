//! How a run is asked to stop: Ctrl-C, the end of a batch system's time, a terminal that closes.

use super::{embedded, output};
use crate::error::Error;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Number of SIGINT, and what Ctrl-C counts as where there are no signals.
const CTRL_C: u8 = 2;

static STOP: AtomicBool = AtomicBool::new(false);
/// Number of the signal that asked first.
static ASKED_BY: AtomicU8 = AtomicU8::new(CTRL_C);

/// The flag that is set when the run is asked to stop. Whoever asks twice ends the process at once.
pub(super) fn stop_flag() -> &'static AtomicBool {
    if let Some(caller) = embedded::caller() {
        return caller.stop;
    }
    static HANDLER: OnceLock<Result<(), String>> = OnceLock::new();
    if let Err(error) = HANDLER.get_or_init(listen) {
        output::note(&format!("notice: Ctrl-C will end the run at once: {error}"));
    }
    &STOP
}

/// The exit code that an error ends the process with; of a run that was asked to stop it tells by which signal, as shells do.
pub(super) fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Interrupted => 128 + ASKED_BY.load(Ordering::Relaxed),
        other => other.exit_code(),
    }
}

/// What a signal does.
fn ask(signal: u8) {
    if STOP.load(Ordering::Relaxed) {
        #[expect(clippy::exit, reason = "asked to stop twice: nothing is waited for any more")]
        std::process::exit(i32::from(128 + signal));
    }
    // Before the flag: whoever sees the flag reads the number next.
    ASKED_BY.store(signal, Ordering::Relaxed);
    STOP.store(true, Ordering::Release);
    output::note("stopping at the next step; press Ctrl-C again to stop at once");
}

#[cfg(unix)]
fn listen() -> Result<(), String> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut wanted = vec![SIGINT, SIGTERM];
    if hangup_counts() {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted).map_err(|error| error.to_string())?;
    let waiting = move || signals.forever().for_each(|signal| ask(u8::try_from(signal).unwrap_or(CTRL_C)));
    std::thread::Builder::new().name("signals".into()).spawn(waiting).map_err(|error| error.to_string())?;
    Ok(())
}

/// Whether the end of the terminal is to end the run: not under `nohup`, which has the signal ignored. Where the system does
/// not tell, `nohup` is known by standard error, which it takes away from the terminal.
#[cfg(unix)]
fn hangup_counts() -> bool {
    use std::io::IsTerminal;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    match ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
        Some(mask) => mask & 1 == 0,
        None => std::io::stderr().is_terminal(),
    }
}

#[cfg(not(unix))]
fn listen() -> Result<(), String> {
    ctrlc::set_handler(|| ask(CTRL_C)).map_err(|error| error.to_string())
}
