//! A convolution and a dense layer: what comes in and what goes out.

use serde::{Deserialize, Serialize};

/// A convolution of 3 x 3 with padding that keeps the size, bias and ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Convolution {
    /// Channels that go out.
    pub filters: usize,
    /// Whether the largest of each 2 x 2 values goes on (max pooling; an odd last row or column is left out).
    pub pool: bool,
}

/// One convolution with the sizes of what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvLayer {
    /// Rows that come in.
    pub height: usize,
    /// Columns that come in.
    pub width: usize,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// Whether 2 x 2 max pooling follows.
    pub pool: bool,
}

impl ConvLayer {
    /// Rows that go out.
    pub fn output_height(&self) -> usize {
        if self.pool { self.height / 2 } else { self.height }
    }

    /// Columns that go out.
    pub fn output_width(&self) -> usize {
        if self.pool { self.width / 2 } else { self.width }
    }

    /// Values of one sample that come in.
    pub fn input_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Values of one sample that go out.
    pub fn output_len(&self) -> usize {
        self.output_height() * self.output_width() * self.outputs
    }

    /// Multiply-adds of one sample: nine for each pixel and pair of channels, before pooling.
    pub(super) fn multiply_adds(&self) -> usize {
        9 * self.height * self.width * self.inputs * self.outputs
    }
}

/// One dense layer: `output = activation(input x weights + bias)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenseLayer {
    /// Features of one sample that come in.
    pub inputs: usize,
    /// Units, and so features that go out.
    pub outputs: usize,
    /// Whether a ReLU follows; only the output layer has none.
    pub relu: bool,
}
