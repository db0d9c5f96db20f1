//! Files of networks by themselves, apart from the run that trained them: our own, those of other programs, and ONNX.

pub mod dense_stack;
pub mod foreign_weights;
pub mod onnx;
pub mod stored_network;
