//! `holdfast report`: one page of finished runs, and what it says to folders that are none.

use crate::digits;
use crate::program::{Table, fresh_folder, holdfast, manifest, text};
use crate::run_folder::smoke;
use holdfast::report::verdict::Verdict;
use holdfast::report::{Provenance, tables};
use holdfast::results::comparison::Results;
use holdfast::run::configuration::Configuration;
use holdfast::run_folder::Manifest;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A study: two networks on a small set.
fn study() -> &'static PathBuf {
    static STUDY: OnceLock<PathBuf> = OnceLock::new();
    STUDY.get_or_init(|| {
        let out = fresh_folder("reported-study");
        let (_data, argument) = digits::folder();
        let line = "study --preset smoke --side 12 --replicates 2 --epochs 6 --device cpu --quiet --data";
        holdfast(line, &[&argument, "--out", text(&out)]).succeeded();
        out
    })
}

/// What the sliders of a page show that are of a `kind`: of the focus layer (`layer`) or of the whole network (`network`).
fn sliders(page: &str, kind: &str) -> Vec<Value> {
    let place = format!("<div class=\"explorer\" data-of=\"{kind}\">");
    let parts = page.split(&place).skip(1);
    let numbers = |part: &str| part.split("<script type=\"application/json\">").nth(1).unwrap().to_string();
    parts.map(|part| serde_json::from_str(numbers(part).split("</script>").next().unwrap()).unwrap()).collect()
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if path.is_dir() {
            copy(&path, &name);
        } else {
            fs::copy(&path, &name).unwrap();
        }
    }
}

/// Nothing is fetched: the only address is the name of SVG's vocabulary, and the page forbids all loading.
fn assert_self_contained(page: &str) {
    for loading in ["src=", "<link", "@import", "url(", "fetch(", "import("] {
        assert!(!page.contains(loading), "{loading}");
    }
    assert!(page.split("href=").skip(1).all(|link| link.starts_with("\"#")), "links lead within the page");
    for address in page.split("http").skip(1) {
        let is_known = address.starts_with("://www.w3.org/2000/svg") || address.starts_with("-equiv=");
        assert!(is_known, "{}", &address[..60.min(address.len())]);
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_page_of_a_comparison_holds_every_operating_point_and_loads_nothing() {
    let folder = &smoke().1;
    let out = fresh_folder("report").join("page.html");
    holdfast("report", &[text(folder), "--out", text(&out)]).succeeded().prints(&["page.html"]);
    let page = fs::read_to_string(&out).unwrap();
    assert_self_contained(&page);
    assert_eq!(page, fs::read_to_string(folder.join("report.html")).unwrap(), "compare writes another page");
    let sliders = sliders(&page, "layer");
    let [slider] = sliders.as_slice() else { panic!("one cell has one slider") };
    let sweep = Table::read(&folder.join("sweep.csv")).only(&[("layers", "focus"), ("repair", "cut")]);
    let mut compared = 0;
    for (replica, shown) in slider["replicas"].as_array().unwrap().iter().enumerate() {
        for series in shown["series"].as_array().unwrap() {
            let setting = |name: &str| if series[name].is_null() { String::new() } else { series[name].to_string() };
            let own = sweep.only(&[
                ("replica", &replica.to_string()),
                ("method", series["method"].as_str().unwrap()),
                ("rule", series["rule"].as_str().unwrap()),
                ("tolerance", &setting("tolerance")),
                ("window", &setting("window")),
            ]);
            let mut rows: Vec<(usize, f64)> =
                own.counts("nonzero_weights").into_iter().zip(own.numbers("accuracy")).collect();
            rows.sort_by_key(|row| std::cmp::Reverse(row.0));
            let numbers = |name: &str| series[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
            let points: Vec<(usize, f64)> =
                numbers("nonzero").map(|weight_count| weight_count as usize).zip(numbers("accuracy")).collect();
            assert_eq!(points.len(), rows.len(), "{}", series["method"]);
            for (point, row) in points.iter().zip(&rows) {
                assert!(point.0 == row.0 && (point.1 - row.1).abs() < 1e-6, "{point:?} {row:?}");
            }
            compared += rows.len();
        }
    }
    let left_out =
        sweep.only(&[("method", "dense")]).rows.len() + sweep.only(&[("rule", "chosen-in-training")]).rows.len();
    assert_eq!(compared, sweep.rows.len() - left_out);
    let stability = Table::read(&folder.join("stability.csv")).only(&[("replica", "1"), ("tolerance", "0.03")]);
    let shown = &slider["replicas"][1]["stability"][1];
    assert_eq!(*shown, serde_json::json!(stability.counts("stability")));
    for words in
        ["Switches in force", "ed-targets", "tolerance-kind", manifest(folder)["device"]["name"].as_str().unwrap()]
    {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn the_whole_network_has_a_slider_of_its_own_with_every_layer_at_every_size() {
    let folder = &smoke().1;
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    let found = sliders(&page, "network");
    let [slider] = found.as_slice() else { panic!("one cell has one slider") };
    assert!(page.contains("The whole network, by how many times smaller it is"), "the axis has no name");
    let sizes = [2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    assert_eq!(slider["sizes"], serde_json::json!(sizes));
    let tensors: Vec<(&str, u64, u64)> = slider["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tensor| {
            (tensor["name"].as_str().unwrap(), tensor["inputs"].as_u64().unwrap(), tensor["units"].as_u64().unwrap())
        })
        .collect();
    let hidden = ["dense1.weight", "dense2.weight", "dense3.weight", "dense4.weight", "dense5.weight"];
    let mut expected = vec![("dense0.weight", 784, 30)];
    expected.extend(hidden.map(|name| (name, 30, 30)));
    expected.push(("dense6.weight", 30, 10));
    assert_eq!(tensors, expected);
    let sweep = Table::read(&folder.join("sweep.csv")).only(&[("layers", "all")]);
    let surgeon = sweep.only(&[("method", "hold-surgeon"), ("rule", "mean")]);
    for (replica, shown) in slider["replicas"].as_array().unwrap().iter().enumerate() {
        let own = surgeon.only(&[("replica", &replica.to_string())]);
        let counts: String = shown["counts"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(counts.len(), 28_320, "a character for each weight");
        // What is there at a size is what the sweep says that the surgeon kept.
        let kept =
            (1..=sizes.len()).map(|step| counts.bytes().filter(|count| usize::from(count - b'0') >= step).count());
        assert_eq!(kept.collect::<Vec<_>>(), own.counts("nonzero_weights"));
        let accuracy: Vec<f64> = shown["accuracy"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert_eq!(accuracy.len(), 1 + sizes.len());
        for (shown, row) in accuracy[1..].iter().zip(own.numbers("accuracy")) {
            assert!((shown - row).abs() < 1e-6, "{shown} {row}");
        }
    }
    let pictured = slider["pictured"].as_u64().unwrap() as usize;
    let labels: Vec<&str> =
        slider["methods"].as_array().unwrap().iter().filter_map(|line| line["label"].as_str()).collect();
    let best = labels[pictured];
    assert!(best.starts_with("hold-surgeon") && best.ends_with("mean"), "{best} of {labels:?}");
    for method in ["stability", "hold", "magnitude", "magnitude, refit", "wanda", "random"] {
        assert!(labels.iter().any(|label| label.starts_with(method)), "{method}: {labels:?}");
    }

    // A run of before its weights were counted has no such slider.
    let older = fresh_folder("report-older");
    copy(folder, &older);
    fs::remove_file(older.join("layers.npz")).unwrap();
    holdfast("report", &[text(&older)]).succeeded();
    let page = fs::read_to_string(older.join("report.html")).unwrap();
    assert!(sliders(&page, "network").is_empty());
    assert_eq!(sliders(&page, "layer").len(), 1);
}

#[test]
fn runs_are_compared_first_and_tables_and_slides_are_for_documents_of_others() {
    let folder = &smoke().1;
    let again = fresh_folder("report-again");
    copy(folder, &again);
    let out = fresh_folder("report-both").join("both.html");
    holdfast("report", &[text(folder), text(&again), "--out", text(&out)]).succeeded();
    let page = fs::read_to_string(&out).unwrap();
    let place = |words: &str| page.find(words).unwrap_or_else(|| panic!("{words} is not on the page"));
    assert!(place("aria-label=\"Contents\"") < place("2 less 1") && place("2 less 1") < place("class=\"verdict\""));
    // Equal runs do not differ.
    assert!(page.contains("+0.0 ("), "their difference is not shown");
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    for anchor in page.split("<a href=\"#").skip(1).filter_map(|part| part.split('"').next()) {
        assert!(page.contains(&format!("id=\"{anchor}\"")), "{anchor}");
    }

    let tables = holdfast("report --tables md", &[text(folder)]).succeeded().stdout;
    for words in ["| run | unpruned |", "### What it costs", "| holding surgeon", "| decay density |"] {
        assert!(tables.contains(words), "{words} is not in\n{tables}");
    }
    let latex = holdfast("report --tables tex", &[text(folder)]).succeeded().stdout;
    assert!(latex.contains("\\begin{tabular}") && !latex.contains('±'), "{latex}");
    holdfast("report --tables md --slide", &[text(folder)]).refused(2, &["--slide"]);

    holdfast("report --slide", &[text(&again)]).succeeded().prints(&["figures"]);
    let slide = image::open(again.join("figures/time-slide.png")).unwrap();
    assert_eq!((slide.width(), slide.height()), (1280, 720));
    assert!(again.join("figures/accuracy-slide.svg").is_file() && again.join("figures/size-slide-dark.png").is_file());
}

#[test]
fn a_study_is_shown_with_its_tables_and_figures() {
    let out = study();
    let ended = holdfast("report", &[text(out), text(&smoke().1), "--out", text(&out.join("both.html"))]);
    ended.succeeded();
    let page = fs::read_to_string(out.join("both.html")).unwrap();
    assert_self_contained(&page);
    assert_eq!(sliders(&page, "layer").len(), 2 + 1, "two cells of the study and one of the comparison");
    assert_eq!(sliders(&page, "network").len(), 1, "a study prunes the focus layer alone");
    for words in [
        "Table 1",
        "Table 4",
        "Figure 3",
        "Figure 4",
        "What was replaced",
        "growth curve through it",
        "replicate-means",
        "anew: pixels / 1",
        "anew: padded to 100 x 100",
        "Do settle and hold beat one-shot pruning?",
        "sensitivity-replicates",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let own = fs::read_to_string(out.join("report.html")).unwrap();
    holdfast("report", &[text(out)]).succeeded();
    assert_eq!(own, fs::read_to_string(out.join("report.html")).unwrap(), "the study writes another page");
}

#[test]
fn names_from_a_run_folder_stay_text() {
    let folder = fresh_folder("report-hostile");
    copy(&smoke().1, &folder);
    let replace = |name: &str, from: &str, to: &str| {
        let changed = fs::read_to_string(folder.join(name)).unwrap().replace(from, to);
        assert!(changed.contains(to), "{name}");
        fs::write(folder.join(name), changed).unwrap();
    };
    replace("subject.json", "\"mnist\"", "\"<b onclick=alert(1)>\"");
    for name in ["sweep.csv", "ledger.csv"] {
        replace(name, "frozen-kept", "</script><b>");
    }
    holdfast("report", &[text(&folder)]).succeeded();
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(
        page.contains("&#60;b onclick=alert(1)&#62;") && page.contains("\\u003c/script"),
        "the names are not there"
    );
    assert!(!page.contains("<b>") && !page.contains("<b "), "a name became markup");
    assert_eq!(page.matches("</script>").count(), 3, "the numbers of two sliders and the script");
}

/// What the run that is kept says today, all tables.
fn kept_run() -> String {
    let folder = fresh_folder("kept-run");
    // Kept by docs/results/update.
    let file = fs::File::open("docs/results/full-mnist.zip").unwrap();
    zip::ZipArchive::new(file).unwrap().extract(&folder).unwrap();
    let manifest: Manifest = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let configuration: Configuration = serde_json::from_value(manifest.configuration.clone()).unwrap();
    let cell = Results::read_back(&configuration, &folder).unwrap();
    let verdict = Verdict::of(&cell).text(&Provenance::from(&manifest).machine, "runs/paper");
    format!("{verdict}\n{}", tables::text(&cell))
}

#[test]
fn the_pages_say_what_the_run_that_is_kept_says() {
    const AGAIN: &str = "unpack docs/results/full-mnist.zip into a folder and give that to docs/results/update";
    let run = kept_run();
    let page = fs::read_to_string("docs/results/full-mnist.md").unwrap();
    assert!(page.contains(run.trim_end()), "docs/results/full-mnist.md says something else; {AGAIN}");
    let readme = fs::read_to_string("README.md").unwrap();
    let part = |name: &str| {
        let (_, rest) = readme.split_once(&format!("<!-- {name} -->")).unwrap();
        rest.split_once(&format!("<!-- /{name} -->")).unwrap().0.to_string()
    };
    for name in ["answer", "result"] {
        let part = part(name);
        let (quoted, block) = part.split_once("```text\n").unwrap();
        let block = block.trim_end().trim_end_matches("```").trim_end();
        assert!(block.lines().count() > 10 && run.contains(block), "README.md, {name}, says something else; {AGAIN}");
        // Sentences are quoted without their line breaks.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let sentences = quoted.trim_start().strip_prefix("> ").map(words).unwrap_or_default();
        assert!(words(&run).contains(&sentences), "README.md, {name}, quotes something else; {AGAIN}");
    }
}

#[test]
fn folders_that_are_no_finished_run_are_refused() {
    let whole = &smoke().1;
    let folder = fresh_folder("report-refusals");
    let report = |path: &Path| holdfast("report", &[text(path), "--out", text(&folder.join("no.html"))]);
    report(&folder.join("nowhere")).refused(5, &["nowhere is not there", "compare or study"]);
    report(&whole.join("sweep.csv")).refused(5, &["sweep.csv is a file"]);
    report(&folder).refused(5, &["has no manifest.json"]);
    report(&study().join("cells/cnn-mnist")).refused(5, &["is part of a run", "reported-study"]);
    holdfast("report", &[text(whole), text(whole)]).refused(2, &["is given twice"]);
    holdfast("report", &[text(whole), "--out", text(&folder.join("a/b.html"))]).refused(1, &["cannot write", "b.html"]);

    let changed = folder.join("changed");
    let with = |change: &dyn Fn()| {
        if changed.exists() {
            fs::remove_dir_all(&changed).unwrap();
        }
        copy(whole, &changed);
        change();
        report(&changed)
    };
    let cut = |name: &str, lines: usize| {
        let all = fs::read_to_string(changed.join(name)).unwrap();
        let kept: Vec<&str> = all.lines().take(all.lines().count() - lines).collect();
        fs::write(changed.join(name), kept.join("\n") + "\n").unwrap();
    };
    with(&|| cut("sweep.csv", 3)).refused(5, &["sweep.csv", "was cut off", "--fresh"]);
    with(&|| cut("manifest.json", 1)).refused(5, &["manifest.json is cut off"]);
    with(&|| cut("subject.json", 1)).refused(5, &["subject.json is cut off"]);
    let files = ["sweep.csv", "ledger.csv", "correlations.csv", "inference.csv", "history.npz", "subject.json"];
    for name in files.into_iter().chain(["layers.npz"]) {
        // Runs of one layer have no picture of the others.
        if name != "layers.npz" {
            with(&|| fs::remove_file(changed.join(name)).unwrap()).refused(5, &[name]);
        }
        let half = || {
            let bytes = fs::read(changed.join(name)).unwrap();
            fs::write(changed.join(name), &bytes[..bytes.len() / 2]).unwrap();
        };
        // Of a table the reader's own words follow the name of the file.
        let ended = with(&half);
        ended.refused(5, &["again"]);
        assert!(ended.stderr.contains(name), "{}", ended.stderr);
    }
    let manifest_with = |key: &str, value: Value| {
        let mut manifest = manifest(whole);
        manifest[key] = value;
        fs::write(changed.join("manifest.json"), manifest.to_string()).unwrap();
    };
    with(&|| manifest_with("finished", Value::Null)).refused(5, &["is not finished", "goes on"]);
    with(&|| manifest_with("command", "train".into())).refused(5, &["holdfast train", "compare or study"]);
    let shard = serde_json::json!({ "index": 1, "of": 2 });
    with(&|| manifest_with("shard", shard.clone())).refused(5, &["is shard", "holdfast merge"]);
    with(&|| manifest_with("configuration", serde_json::json!({}))).refused(5, &["no settings that this version"]);
    assert!(!folder.join("no.html").exists());
}
