//! burn on its own back end for processors, with vector instructions and threads.

use burn::backend::{Autodiff, Flex};

fn main() {
    peer_burn::serve::<Autodiff<Flex>>();
}
