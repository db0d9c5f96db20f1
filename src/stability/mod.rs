//! From a recorded history to numbers: magnitude stability, settling tolerance, frozen weights, holding magnitude.

pub mod envelope;
mod history;
pub mod import;
pub mod magnitude;
mod readings;
pub mod summary;
mod tensor_history;
pub mod weight_tables;

pub use envelope::WindowedEnvelope;
pub use history::{History, ReplicaHistory, check_array};
pub use magnitude::Stability;
pub use readings::{Against, Reading, ToleranceKind, Tracking};
pub use tensor_history::TensorHistory;
