//! What shells and manuals are told.

use crate::program::{holdfast, text};

#[test]
fn completions_and_manual_pages_know_every_command() {
    let commands =
        ["compare", "study", "train", "stability", "prune", "bench", "data", "devices", "doctor", "explain", "puzzle"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = holdfast("completions", &[shell]).succeeded().stdout;
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
        // The others complete options alone, or only names of options.
        let (arguments, values) = (["bash", "zsh"].contains(&shell), ["bash", "zsh", "fish"].contains(&shell));
        for (word, known) in
            [("conv2d", arguments), ("dense.forward", arguments), ("xr-synthetic", values), ("hold-surgeon", values)]
        {
            assert!(script.contains(word) || !known, "{shell} does not complete {word}");
        }
    }
    let page = holdfast("man", &[]).succeeded().stdout;
    assert!(page.contains(".TH holdfast 1"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    holdfast("man --out", &[text(folder.path())]).succeeded();
    for command in commands {
        assert!(folder.path().join(format!("holdfast-{command}.1")).is_file(), "{command}");
    }
    holdfast("completions tcsh", &[]).refused(2, &["tcsh", "bash"]);
}
