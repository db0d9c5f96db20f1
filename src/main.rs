//! The `holdfast` command: prune neural networks by what holds still.

use std::process::ExitCode;

fn main() -> ExitCode {
    quieten_drivers();
    holdfast::cli::run()
}

/// Vulkan drivers look for a Wayland display in the folder that `XDG_RUNTIME_DIR` names, and complain on standard error if it
/// names none. No display is wanted here: they get a folder that does not exist, in which they find none, silently.
#[cfg(unix)]
fn quieten_drivers() {
    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    let is_set = std::env::var_os(VARIABLE).is_some_and(|value| std::path::Path::new(&value).is_absolute());
    if !is_set {
        #[expect(unsafe_code, reason = "the drivers offer no other way to say that no display is wanted")]
        // SAFETY: this is the first thing that the process does, so there is no other thread that could read the
        // environment meanwhile.
        unsafe {
            std::env::set_var(VARIABLE, "/nonexistent");
        }
    }
}

#[cfg(not(unix))]
fn quieten_drivers() {}
