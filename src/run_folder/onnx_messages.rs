//! The part of the ONNX format that classifiers need: its messages, written and read by `prost`. Names and tags are those of
//! [onnx.proto](https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); what is not here is passed over when a file is read.

use super::store;
use crate::error::{Error, Result};
use prost::Message;
use std::io::Write;
use std::path::Path;

/// The set of operators that models ask for: read by onnxruntime since 1.12, of 2022.
pub const OPSET: i64 = 17;
/// The version of the format that came with it.
const IR_VERSION: i64 = 8;
/// What models say made them.
const PRODUCER: &str = "holdfast";
/// Types of numbers in a tensor.
pub const FLOAT: i32 = 1;
/// See [`FLOAT`].
pub const UINT8: i32 = 2;
/// See [`FLOAT`].
pub const INT64: i32 = 7;
/// Types of attributes.
const INT: i32 = 2;
/// See [`INT`].
const INTS: i32 = 7;

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// Version of the format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The program that made it.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// The set of operators.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    /// Whatever else is known of it.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Entry>,
}

/// A set of operators.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    /// Empty: that of ONNX itself.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A key with its value.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Operators in an order in which they can run, and their constants.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// Operators.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    /// What goes in.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// What comes out.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

/// One operator.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// Names of what it reads.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of what it produces.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its own name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// What it does.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// How.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

/// A setting of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value of one that is a whole number; it is written where it is 0, too.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// The values of one that is several.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Which of these it is.
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl Attribute {
    /// One whole number.
    pub fn int(name: &str, value: i64) -> Self {
        Self { name: name.into(), i: Some(value), ints: Vec::new(), r#type: INT }
    }

    /// Several whole numbers.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self { name: name.into(), i: None, ints: values.to_vec(), r#type: INTS }
    }
}

/// A constant.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// Sizes of the axes, the slowest first.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// The type of its numbers.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Its numbers in C order, little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

impl Tensor {
    /// 32-bit floats.
    pub fn of_floats(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self::new(name, shape, FLOAT, bytemuck::cast_slice(values))
    }

    /// 64-bit whole numbers, a list.
    pub fn of_integers(name: &str, values: &[i64]) -> Self {
        Self::new(name, &[values.len()], INT64, bytemuck::cast_slice(values))
    }

    fn new(name: &str, shape: &[usize], data_type: i32, bytes: &[u8]) -> Self {
        let dims = shape.iter().map(|&size| size as i64).collect();
        Self { dims, data_type, name: name.into(), raw_data: bytes.to_vec() }
    }
}

/// Name and type of what goes in or comes out.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

impl ValueInfo {
    /// A tensor of samples, any number of them: `[N, ...sizes]`.
    pub fn of_samples(name: &str, elem_type: i32, sizes: &[usize]) -> Self {
        let samples = Dimension { size: None, name: Some("N".into()) };
        let sizes = sizes.iter().map(|&size| Dimension { size: Some(size as i64), name: None });
        let shape = Some(Shape { dim: [samples].into_iter().chain(sizes).collect() });
        Self { name: name.into(), r#type: Some(Type { tensor_type: Some(TensorType { elem_type, shape }) }) }
    }
}

/// A type; only tensors are known here.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    /// The tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// The type of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// The type of its numbers.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Its axes.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// Axes of a tensor, the slowest first.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// The axes.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// An axis: how long it is, or a name where that is open.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// Its length.
    #[prost(int64, optional, tag = "1")]
    pub size: Option<i64>,
    /// The name of its length.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}

impl Model {
    /// A model of this version, of this graph.
    pub fn new(graph: Graph, metadata: Vec<Entry>) -> Self {
        Self {
            ir_version: IR_VERSION,
            producer_name: PRODUCER.into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
            metadata_props: metadata,
        }
    }

    /// Writes the file.
    ///
    /// Fails with [`Error::Io`] if it cannot be written, and with [`Error::Job`] if it would be larger than the format can be, 2 GB.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.encoded_len();
        if i32::try_from(bytes).is_err() {
            return Err(Error::Job(format!(
                "the network takes {bytes} bytes, and an ONNX file has at most 2 GB; use --format safetensors"
            )));
        }
        store::write(path, |file| file.write_all(&self.encode_to_vec()))
    }

    /// Reads a file.
    ///
    /// Fails with [`Error::Data`] if it is missing or is no such file.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = std::fs::read(path)
            .map_err(|error| Error::Data(format!("cannot read {shown}: {error}; check the path")))?;
        Self::decode(&bytes[..]).map_err(|error| Error::Data(format!("{shown} is no ONNX file, or cut off ({error})")))
    }

    /// Whether this program made it.
    pub fn is_ours(&self) -> bool {
        self.producer_name == PRODUCER && self.graph.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    /// Bytes as the format's own definition has them, counted by hand: tag and kind, length, content.
    #[test]
    fn a_model_is_written_as_the_format_says() {
        let graph = Graph {
            node: vec![Node {
                input: vec!["x".into()],
                output: vec!["y".into()],
                name: String::new(),
                op_type: "Softmax".into(),
                attribute: vec![Attribute::int("axis", 0)],
            }],
            ..Graph::default()
        };
        #[rustfmt::skip]
        let expected = [
            0x0a, 28, // the node
            0x0a, 1, b'x', 0x12, 1, b'y', 0x22, 7, b'S', b'o', b'f', b't', b'm', b'a', b'x',
            0x2a, 11, // its attribute: name, the number though it is 0, type
            0x0a, 4, b'a', b'x', b'i', b's', 0x18, 0, 0xa0, 0x01, 2,
        ];
        assert_eq!(graph.encode_to_vec(), expected);
        let tensor = Tensor::of_floats("w", &[1, 2], &[1.0, -2.0]);
        assert_eq!(
            tensor.encode_to_vec(),
            [0x0a, 2, 1, 2, 0x10, 1, 0x42, 1, b'w', 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]
        );
    }

    #[test]
    fn a_model_comes_back_and_other_files_are_refused() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let graph = Graph { input: vec![ValueInfo::of_samples("images", UINT8, &[28, 28])], ..Graph::default() };
        let model = Model::new(graph, vec![Entry { key: "a".into(), value: "b".into() }]);
        model.write(&path).unwrap();
        assert_eq!(Model::read(&path).unwrap(), model);
        assert!(model.is_ours() && !Model { producer_name: "pytorch".into(), ..model }.is_ours());
        let bytes = std::fs::read(&path).unwrap();
        for other in [&bytes[..bytes.len() - 1], b"a text".as_slice()] {
            std::fs::write(&path, other).unwrap();
            let error = Model::read(&path).unwrap_err();
            assert!(error.exit_code() == 5 && error.to_string().contains("model.onnx"), "{error}");
        }
        assert!(Model::read(&folder.path().join("missing.onnx")).is_err());
    }
}
