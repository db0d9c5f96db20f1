//! Progress on standard error: bars on a terminal, plain lines elsewhere.

use super::stop::stop_flag;
use super::{embedded, output};
use crate::engine::{Control, Progress};
use crate::numbers::significant;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use parking_lot::Mutex;
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A plain line says how far a stage is no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Tells the user what a study does.
pub(super) struct Reporter {
    quiet: bool,
    terminal: bool,
    stage: Mutex<Option<Stage>>,
}

struct Stage {
    name: String,
    unit: &'static str,
    total: u64,
    done: u64,
    started: Instant,
    /// When the first units were reported and how many: what a checkpoint already had, or so few that they do not matter.
    first: Option<(Instant, u64)>,
    last_line: Instant,
    bar: ProgressBar,
}

impl Reporter {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, terminal: std::io::stderr().is_terminal(), stage: Mutex::new(None) }
    }

    /// What a study reports to, and is stopped by: this, unless another program has called the command.
    pub(super) fn control(&self) -> Control<'_> {
        embedded::caller().unwrap_or_else(|| Control { stop: stop_flag(), progress: self })
    }

    fn with_stage(&self, change: impl FnOnce(&mut Option<Stage>)) {
        change(&mut self.stage.lock());
    }
}

/// How fast a stage is, in units a second, and how long it still takes, in seconds; nothing until that is known.
fn pace(rate: f64, left: f64) -> String {
    match Duration::try_from_secs_f64(left.ceil()) {
        Ok(left) if rate > 0.0 && rate.is_finite() => {
            format!(", {} a second, {} left", significant(rate), HumanDuration(left))
        }
        _ => String::new(),
    }
}

impl Progress for Reporter {
    fn begin(&self, stage: &str, total: u64, unit: &'static str) {
        if self.quiet {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = format!("{{msg}}  [{{bar:30}}] {{human_pos}}/{{human_len}} {unit}{{pace}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            let pace = |state: &ProgressState, text: &mut dyn Write| {
                // A text that cannot be written is not shown.
                let _ = text.write_str(&pace(state.per_sec(), state.eta().as_secs_f64()));
            };
            bar.set_style(style.progress_chars("=> ").with_key("pace", pace));
        }
        bar.set_message(stage.to_string());
        let now = Instant::now();
        let stage = Stage { name: stage.into(), unit, total, done: 0, started: now, first: None, last_line: now, bar };
        self.with_stage(|current| *current = Some(stage));
    }

    fn advance(&self, units: u64) {
        self.with_stage(|stage| {
            let Some(stage) = stage else { return };
            stage.done += units;
            let (since, before) = *stage.first.get_or_insert_with(|| (Instant::now(), units));
            if self.terminal {
                stage.bar.set_position(stage.done);
                if stage.done == before {
                    stage.bar.reset_eta();
                }
            } else if stage.last_line.elapsed() >= LINE_EVERY {
                stage.last_line = Instant::now();
                let rate = (stage.done - before) as f64 / since.elapsed().as_secs_f64();
                let left = stage.total.saturating_sub(stage.done) as f64 / rate;
                let Stage { name, done, total, unit, .. } = stage;
                output::note(&format!("{name}: {done} of {total} {unit}{}", pace(rate, left)));
            }
        });
    }

    fn extend(&self, units: u64) {
        self.with_stage(|stage| {
            let Some(stage) = stage else { return };
            stage.total += units;
            stage.bar.set_length(stage.total);
        });
    }

    fn end(&self) {
        self.with_stage(|stage| {
            if let Some(stage) = stage.take() {
                stage.bar.finish_and_clear();
                let seconds = stage.started.elapsed().as_secs_f64();
                if seconds >= 0.1 {
                    output::note(&format!("{}: {seconds:.1} s", stage.name));
                }
            }
        });
    }

    fn notice(&self, text: &str) {
        if self.quiet {
            return;
        }
        self.with_stage(|stage| match stage {
            Some(stage) if self.terminal => stage.bar.suspend(|| output::note(&format!("notice: {text}"))),
            _ => output::note(&format!("notice: {text}")),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_that_is_not_known_is_not_told() {
        assert_eq!(
            [(0.0, f64::INFINITY), (f64::NAN, f64::NAN), (f64::INFINITY, 0.0)].map(|(a, b)| pace(a, b)),
            [""; 3]
        );
        assert_eq!(pace(0.25, 11.2), ", 0.250 a second, 12 seconds left");
        assert_eq!(pace(1234.4, 3.0 * 3600.0), ", 1,234 a second, 3 hours left");
    }
}
