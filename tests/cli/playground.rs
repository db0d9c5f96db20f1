//! `holdfast playground`: the page that it makes, and what it refuses. What the page does in a browser is looked at by
//! `tests/browser/playground.mjs`.

use crate::adapter;
use crate::program::{holdfast, text};
use std::fs;

#[test]
fn a_page_is_made_on_any_device_and_only_pages_of_holdfasts_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let device = adapter::index().to_string();
    let playground = || holdfast("playground --quiet", &[text(&page), "--device", &device]);
    fs::write(&page, "<!DOCTYPE html><title>Mine</title>").unwrap();
    playground().refused(2, &["page.html", "name another file"]);
    assert_eq!(fs::read(&page).unwrap(), b"<!DOCTYPE html><title>Mine</title>");
    fs::remove_file(&page).unwrap();
    playground().succeeded().prints(&["page.html"]);
    let made = fs::read(&page).unwrap();
    assert!(made.len() < 6_000_000, "{} bytes", made.len());
    playground().succeeded();
    assert!(made == fs::read(&page).unwrap(), "the same command makes another page");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["page.html"]);
}

#[test]
fn the_cpu_engine_launches_nothing_that_a_page_could_be_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    holdfast("playground --device cpu", &[text(&page)]).refused(2, &["--device"]);
    assert!(!page.exists());
}
