//! What was recorded and trained, as a hash: two runs with the same one have the same bits.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// SHA-256 of numbers in little-endian bytes, in hexadecimal.
pub fn hash(numbers: &[f32]) -> String {
    let mut hash = NumberHash::default();
    hash.add(numbers);
    hash.finish()
}

/// The same of arrays one after the other, as if they were one.
#[derive(Clone, Default)]
pub struct NumberHash(Sha256);

impl NumberHash {
    /// Adds an array.
    pub fn add(&mut self, numbers: &[f32]) {
        self.0.update(bytemuck::cast_slice::<f32, u8>(numbers));
    }

    /// The hash of all that was added.
    pub fn finish(self) -> String {
        HEXLOWER.encode(&self.0.finalize())
    }
}
