//! burn on the crate ndarray, with vector instructions and threads.

use burn::backend::{Autodiff, NdArray};

fn main() {
    peer_burn::serve::<Autodiff<NdArray>>();
}
