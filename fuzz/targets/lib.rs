//! What all targets share: a folder for the files that a target writes, what an error must be like, and how much memory a
//! reader may ask for.

use holdfast::error::{Error, Result};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The folder of this process.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path()
}

/// Writes `content` under `name` in the folder.
pub fn file(name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, content).expect("a temporary file");
    path
}

/// Panics if a refusal is not one that a user can act on: bad data or impossible settings, in a sentence.
pub fn judge<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error @ (Error::Data(_) | Error::Usage(_))) => {
            assert!(error.to_string().len() > 10, "no sentence: {error:?}");
            None
        }
        Err(error) => panic!("not a refusal of bad data: {error:?}"),
    }
}

/// The most bytes that a reader of a few kilobytes may ask for at once.
const MOST: usize = 256 << 20;

/// Ends the process where more than [`MOST`] is asked for: memory that is claimed and never touched shows in no statistics.
struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn bound(bytes: usize) {
    if bytes > MOST {
        // Printing would ask for memory.
        std::process::abort();
    }
}

// SAFETY: all memory is the system's.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        bound(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        bound(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        bound(bytes);
        unsafe { System.realloc(place, layout, bytes) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}
