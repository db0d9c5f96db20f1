//! Holdfast: prune neural networks by what holds still.
//!
//! A compute engine written by hand in Rust and WGSL. It trains batches of small networks side by side, remembers the weights
//! of one layer after each epoch, counts for how many last epochs each weight kept its value (magnitude stability, Riedel &
//! Segev 2023), and prunes to any size without retraining. `ARCHITECTURE.md` has a picture of the modules and of the data's
//! way, `docs/glossary.md` the words.
//!
//! From images to the accuracy of a pruned network:
//!
//! ```
//! use holdfast::data::Dataset;
//! use holdfast::engine::{Engine, SweepPoint, Watch};
//! use holdfast::network::{Architecture, Selection};
//! use holdfast::pruning::allocation::{Amount, Scope};
//! use holdfast::pruning::score::{Score, Scores};
//! use holdfast::stability::TensorHistory;
//! use holdfast::training::{Plan, train};
//! use std::sync::Arc;
//!
//! // Eight images of 2 x 2 pixels: the bright ones are class 1.
//! let images = (0..32u8).map(|pixel| 8 * pixel).collect();
//! let data = Arc::new(Dataset::new("bright", images, vec![0, 0, 0, 0, 1, 1, 1, 1], 2, 2, 2)?);
//! // Two hidden layers of four units.
//! let architecture = Architecture::dnn(data.height, data.width, [4, 4], data.classes);
//!
//! // Two networks, which differ in their initial weights and in the order of the images.
//! let mut engine = Engine::cpu(None)?;
//! let handle = engine.load(&data)?;
//! let selection = Selection::focus(&architecture);
//! let plan = Plan { batch: 4, ..Plan::new((&architecture, &selection), (handle, &data), &[0, 1], 10) };
//! let watch = Watch::nobody();
//! let mut trained = train(&mut engine, &plan, None, &watch, &|_| {})?;
//!
//! // The half of the layer's weights whose smallest magnitude in the last five epochs is smallest goes.
//! let history = TensorHistory::new("focus", trained.history()?, vec![4, 4]);
//! let scores = Score::Hold { window: 5, keep_frozen: false }.of_history(&mut engine, &history, None)?;
//! let masks = Scores::masks(&[scores], Scope::Layer, &[Amount::Share(0.5)])?.remove(0).remove(0);
//! assert!(masks.iter().all(|mask| mask.iter().filter(|&&kept| kept).count() == 8));
//!
//! let points: Vec<_> = masks.into_iter().enumerate().map(|(slot, kept)| SweepPoint { slot, kept }).collect();
//! for pruned in trained.batch.sweep(handle, &selection, &points, &watch)? {
//!     println!("{:.0} % right with half of the layer removed", 100.0 * pruned.accuracy());
//! }
//! # Ok::<(), holdfast::error::Error>(())
//! ```
//!
//! Features, all on unless asked otherwise: `cli` is the command, `report` draws figures and pages, `gpu` is the WGSL engine with
//! the checks of its kernels. Without any of them there is the CPU engine, and all that is done with it.
//!
//! The folder `examples` has this with real digits, and the way of a history that PyTorch recorded.

#[cfg(feature = "gpu")]
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod cpu;
pub mod data;
pub mod engine;
pub mod error;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "gpu")]
pub mod kernels;
#[cfg(feature = "gpu")]
pub mod lab;
#[cfg(feature = "gpu")]
pub mod lessons;
pub mod network;
pub mod network_files;
pub mod numbers;
#[cfg(all(feature = "gpu", feature = "report"))]
pub mod playground;
pub mod pruning;
pub mod random;
#[cfg(feature = "report")]
pub mod report;
pub mod results;
pub mod run;
pub mod run_folder;
pub mod stability;
pub mod statistics;
pub mod study;
pub mod training;
