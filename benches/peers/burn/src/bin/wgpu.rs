//! burn on wgpu, fused and tuned.

use burn::backend::{Autodiff, Wgpu};

fn main() {
    peer_burn::serve::<Autodiff<Wgpu>>();
}
