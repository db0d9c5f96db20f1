//! What other programs computed: training runs of PyTorch, ranks and counts of NumPy, and the published words of Philox.

use super::comparator::{Expected, Report, compare, compare_exact};
use super::{Output, bits, output, read, run};
use crate::cpu::mask;
use crate::cpu::training_step::Replica;
use crate::data::Dataset;
use crate::engine::{Engine, HistoryShape, Setup, Steps, Watch};
use crate::error::{Error, Result};
use crate::gpu::{Access, Binding, Buffer, Gpu, Kernel, Shader};
use crate::network::{Architecture, ParameterLayout, Selection};
use crate::random;
use ndarray::IxDyn;
use ndarray_npy::{NpzReader, ReadableElement};
use std::io::Cursor;
use std::sync::Arc;

/// Relative difference of a step's mean loss in single precision to PyTorch's in double precision.
const LOSS_TOLERANCE: f64 = 1e-5;
/// Replicas that follow a recorded run side by side.
const COPIES: usize = 2;

/// Recorded runs, 54 steps together; `compact.py` beside them says where they come from.
const RUNS: [(&str, &[u8]); 4] = [
    ("dnn_7px_w5_d2_short", include_bytes!("recorded/dnn_7px_w5_d2_short.npz")),
    ("dnn_10px_w30_d6_mask", include_bytes!("recorded/dnn_10px_w30_d6_mask.npz")),
    ("dnn_12px_w30_d6", include_bytes!("recorded/dnn_12px_w30_d6_a.npz")),
    ("cnn_11px_f3_w7_d2_short_mask", include_bytes!("recorded/cnn_11px_f3_w7_d2_short_mask.npz")),
];

/// A history with NumPy's order of its magnitudes.
const RANKS: &[u8] = include_bytes!("../../tests/fixtures/stability/e20_r3_n37.npz");

/// Counters, keys and words that were published with Random123 (`kat_vectors`, philox 4x32 10).
const PHILOX: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
    ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

/// An archive that is part of the program.
struct Archive(NpzReader<Cursor<&'static [u8]>>);

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Job(format!("the program's own test data cannot be read ({error}); build or install it again"))
}

impl Archive {
    fn new(bytes: &'static [u8]) -> Result<Self> {
        NpzReader::new(Cursor::new(bytes)).map(Self).map_err(damaged)
    }

    fn array<T: ReadableElement>(&mut self, name: &str) -> Result<(Vec<usize>, Vec<T>)> {
        let array = self.0.by_name::<ndarray::OwnedRepr<T>, IxDyn>(name).map_err(damaged)?;
        Ok((array.shape().to_vec(), array.into_iter().collect()))
    }

    fn number(&mut self, name: &str) -> Result<usize> {
        let (_, values) = self.array::<i64>(name)?;
        Ok(values[0] as usize)
    }

    fn has(&mut self, name: &str) -> Result<bool> {
        Ok(self.0.names().map_err(damaged)?.iter().any(|known| known == name))
    }
}

/// Trains along recorded runs and compares the loss of every step with PyTorch's.
///
/// Fails as the engine does, see [`Engine`].
pub fn training(engine: &mut Engine) -> Result<Vec<Report>> {
    RUNS.iter().map(|(name, bytes)| follow(engine, name, bytes)).collect()
}

/// See [`training`].
fn follow(engine: &mut Engine, name: &str, bytes: &'static [u8]) -> Result<Report> {
    let mut archive = Archive::new(bytes)?;
    let side = archive.number("side")?;
    let is_cnn = archive.number("is_cnn")? == 1;
    let hidden = vec![archive.number("width")?; archive.number("depth")?];
    let architecture = Architecture {
        convolutions: if is_cnn { Architecture::paper_convolutions(archive.number("filters")?) } else { Vec::new() },
        ..Architecture::dnn(side, side, hidden, archive.number("classes")?)
    };
    let (images, labels) = (archive.array::<u8>("images")?.1, archive.array::<u8>("labels")?.1);
    let data = Dataset::new(name, images, labels, side, side, architecture.classes)?;
    let layout = ParameterLayout::new(&architecture);
    let mut initial = Vec::new();
    for tensor in &layout.tensors {
        initial.extend(archive.array::<f32>(&format!("init.{}", tensor.name))?.1);
    }
    let masked = archive.has("focus_mask")?;
    let mask_from = if masked { Some(archive.number("mask_from_step")?) } else { None };
    let batch_size = archive.number("batch")?;
    let (orders, sizes) = (archive.array::<u32>("order")?.1, archive.array::<u32>("batch_sizes")?.1);
    let losses = archive.array::<f64>("losses")?.1;

    let training = engine.load(&Arc::new(data))?;
    let ids: Vec<u32> = (0..COPIES as u32).collect();
    let selection = Selection::focus(&architecture);
    let setup = Setup {
        architecture: &architecture,
        training,
        batch: batch_size,
        pixel_scale: 255.0,
        seed: 0,
        replica_ids: &ids,
        selection: &selection,
    };
    let mut batch = engine.begin(&setup)?;
    batch.restore(&vec![Replica::new(initial); COPIES])?;
    let watch = Watch::nobody();
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (step, ((order, &size), &loss)) in orders.chunks_exact(batch_size).zip(&sizes).zip(&losses).enumerate() {
        if mask_from == Some(step) {
            let states: Vec<u32> = archive.array::<u8>("focus_mask")?.1.into_iter().map(u32::from).collect();
            let focus = layout.focus_weight().range();
            let mut replicas = batch.replicas()?;
            for Replica { parameters, m, v, mask, .. } in &mut replicas {
                let [weights, m, v] = [parameters, m, v].map(|array| &mut array[focus.clone()]);
                mask::hold(&states, weights, m, v);
                mask[focus.clone()].copy_from_slice(&states);
            }
            batch.restore(&replicas)?;
        }
        let order: Arc<[u32]> = order[..size as usize].into();
        let orders = vec![order; COPIES];
        let whole = 0..size as usize;
        let steps =
            Steps { first_step: step as u64, orders: &orders, batches: std::slice::from_ref(&whole), decay: 1.0 };
        found.extend(batch.train(&steps, &watch)?.into_iter().map(|step| step.loss));
        expected.extend([Expected { value: loss, tolerance: LOSS_TOLERANCE * loss }; COPIES]);
    }
    let found = Output { bits: bits(&found), guard: Vec::new() };
    Ok(compare("training_step", format!("{name}, {} steps of PyTorch", losses.len()), &found, &expected))
}

/// Ranks a recorded history and compares with NumPy's stable sort.
///
/// Fails as the engine does, see [`Engine`].
pub fn ranks(engine: &mut Engine) -> Result<Report> {
    let mut archive = Archive::new(RANKS)?;
    let (shape, history) = archive.array::<f32>("history")?;
    let (_, order) = archive.array::<u32>("order")?;
    let shape = HistoryShape { epochs: shape[0], replicas: shape[1], weight_count: shape[2] };
    let mut expected = vec![0; order.len()];
    for (order, rank) in order.chunks_exact(shape.weight_count).zip(expected.chunks_exact_mut(shape.weight_count)) {
        for (place, &weight_index) in (0..).zip(order) {
            rank[weight_index as usize] = place;
        }
    }
    let found = Output { bits: engine.rank(shape, &history)?, guard: Vec::new() };
    let name = format!("e{}_r{}_n{} of NumPy", shape.epochs, shape.replicas, shape.weight_count);
    Ok(compare_exact("magnitude_sort.rank", name, &found, &expected))
}

/// Compares the host's Philox with the published words.
pub fn philox_on_host() -> Report {
    let found = PHILOX.iter().flat_map(|(counter, key, _)| random::philox(*counter, *key)).collect();
    philox_report(&Output { bits: found, guard: Vec::new() })
}

/// Compares the device's Philox with the published words.
pub fn philox_on_device(gpu: &Gpu) -> Result<Report> {
    static SHADER: Shader = Shader {
        name: "prelude.philox",
        source: concat!(include_str!("../../shaders/prelude/philox.wgsl"), include_str!("recorded/philox.wgsl"),),
        bindings: &[
            Binding::new("counters", Access::Read),
            Binding::new("keys", Access::Read),
            Binding::new("words", Access::ReadWrite),
        ],
        parameters: None,
        constants: &[],
    };
    let counters = Buffer::from_slice(gpu, "counters", &PHILOX.map(|(counter, ..)| counter))?;
    let keys = Buffer::from_slice(gpu, "keys", &PHILOX.map(|(_, key, _)| key))?;
    let words = output::<[u32; 4]>(gpu, PHILOX.len())?;
    let bound = Kernel::new(gpu, &SHADER, &[])?.bind(gpu, &[&counters, &keys, &words])?;
    run(gpu, "known answers", |recorder| recorder.dispatch(&bound, [PHILOX.len() as u32, 1, 1], None))?;
    Ok(philox_report(&read(gpu, &words)?))
}

fn philox_report(found: &Output) -> Report {
    let expected: Vec<u32> = PHILOX.iter().flat_map(|(.., words)| *words).collect();
    compare_exact("prelude.philox", "published words".into(), found, &expected)
}
