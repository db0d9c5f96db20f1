//! Arrays in every type and layout, their bytes written here.

use std::io::Write;
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A history of 4 epochs x 2 replicas x 3 weights whose numbers every format holds exactly.
pub const SHAPE: [usize; 3] = [4, 2, 3];

pub fn values() -> Vec<f32> {
    (0..24).map(|index| [0.5f32, -0.25, 1.0, 0.5, 1.5, -2.0][index % 6] * if index < 12 { 2.0 } else { 1.0 }).collect()
}

/// A `.npy` file: version 1 header with this text, then the bytes.
pub fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// The usual header.
pub fn header(descr: &str, fortran_order: bool, shape: &[usize]) -> String {
    let order = if fortran_order { "True" } else { "False" };
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}\n")
}

/// The history as 32-bit floats in `.npy`.
pub fn plain() -> Vec<u8> {
    npy(&header("<f4", false, &SHAPE), &bytes(&values()))
}

pub fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The same numbers in every type and order of bytes and axes that is read.
pub fn every_npy() -> Vec<(&'static str, Vec<u8>)> {
    let c = values();
    let fortran: Vec<f32> = {
        let [epochs, replicas, weight_count] = SHAPE;
        let mut turned = Vec::new();
        for weight_index in 0..weight_count {
            for replica in 0..replicas {
                for epoch in 0..epochs {
                    turned.push(c[(epoch * replicas + replica) * weight_count + weight_index]);
                }
            }
        }
        turned
    };
    let file = |descr, order, data: Vec<u8>| npy(&header(descr, order, &SHAPE), &data);
    let f64s = |big: bool| -> Vec<u8> {
        c.iter().map(|&v| f64::from(v)).flat_map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() }).collect()
    };
    let f16s = |values: &[f32]| values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
    let bf16s: Vec<u8> = c.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
    let big: Vec<u8> = c.iter().flat_map(|v| v.to_be_bytes()).collect();
    let long = {
        let text = header("<f4", false, &SHAPE);
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(self::bytes(&c));
        bytes
    };
    vec![
        ("f32", plain()),
        ("f32, header of version 2", long),
        ("f32, big-endian", file(">f4", false, big)),
        ("f32, Fortran order", file("<f4", true, bytes(&fortran))),
        ("f64", file("<f8", false, f64s(false))),
        ("f64, big-endian", file(">f8", false, f64s(true))),
        ("f16", file("<f2", false, f16s(&c))),
        ("f16, Fortran order", file("<f2", true, f16s(&fortran))),
        ("bf16", file("<V2", false, bf16s.clone())),
        ("bf16 by the name that ml_dtypes writes", file("bfloat16", false, bf16s)),
    ]
}

/// A `.npz` of these entries.
pub fn npz(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A `.safetensors` file: header as text, then the bytes.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// The history as one tensor of this type.
pub fn tensor(dtype: &str, data: &[u8]) -> Vec<u8> {
    let header =
        format!("{{\"history\":{{\"dtype\":\"{dtype}\",\"shape\":[4,2,3],\"data_offsets\":[0,{}]}}}}", data.len());
    safetensors(&header, data)
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).unwrap();
}
