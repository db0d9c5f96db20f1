// dense_stack.naive: all dense layers after the first, forward and backward: mean cross-entropy of a batch, correct samples,
// and the gradients of the mean with respect to weights, biases, and what enters the first layer's ReLU.
//
// To begin reading with, never used by the engine: one workgroup owns one replica (z), one invocation a unit of each layer,
// sample after sample.
//   activations           [replica, sample, unit]  what the first layer produced; its gradient takes that place. From
//                         `scratch` on: [replica, layer, row, unit], what the other hidden layers produced; one row is used
//   parameters, gradient  [replica, parameter]     read; written from `first` on. losses [row, replica] written
// with: step

const UNITS: u32 = 32; // the most of a layer

struct Loss {
    mean: f32,
    correct: u32,
}

struct Params {
    units: u32,      // of a hidden layer
    classes: u32,
    depth: u32,      // hidden layers, the first included
    capacity: u32,   // samples that a replica has room for
    replicas: u32,
    parameters: u32, // per replica
    first: u32,      // first weight after the first layer; each bias follows its weights
    scratch: u32,    // number of activations before the scratch
    rows: u32,       // of the scratch: 32, or the capacity if that is less
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> activations: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(7) var<storage, read_write> losses: array<Loss>;

var<workgroup> logits: array<f32, UNITS>;
var<workgroup> g: array<f32, UNITS>; // gradient of what a layer gave, before its ReLU

fn units_of(layer: u32) -> u32 {
    return select(params.units, params.classes, layer == params.depth);
}

fn weights_of(r: u32, layer: u32) -> u32 {
    return r * params.parameters + params.first + (layer - 1u) * (params.units + 1u) * params.units;
}

// What a hidden layer produced.
fn output_of(r: u32, layer: u32, n: u32) -> u32 {
    if (layer == 0u) { return (r * params.capacity + n) * params.units; }
    return params.scratch + (r * (params.depth - 1u) + layer - 1u) * params.rows * params.units;
}

@compute @workgroup_size(UNITS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) k: u32) {
    let r = group.z;
    let samples = f32(step.samples);
    let size = weights_of(r, params.depth) + (params.units + 1u) * params.classes - weights_of(r, 1u);
    for (var p = k; p < size; p += UNITS) { gradient[weights_of(r, 1u) + p] = 0.0; }
    var loss = 0.0;
    var correct = 0u;
    for (var n = 0u; n < step.samples; n++) {
        for (var layer = 1u; layer <= params.depth; layer++) {
            storageBarrier();
            let units = units_of(layer);
            if (k < units) {
                let weights = weights_of(r, layer) + k;
                var y = parameters[weights + params.units * units];
                for (var i = 0u; i < params.units; i++) {
                    y += activations[output_of(r, layer - 1u, n) + i] * parameters[weights + i * units];
                }
                if (layer < params.depth) { activations[output_of(r, layer, n) + k] = max(y, 0.0); } else { logits[k] = y; }
            }
        }
        workgroupBarrier();
        // Every invocation works out the loss.
        let label = labels[order[r * step.order_stride + step.first + n]];
        var largest = 0u;
        for (var c = 1u; c < params.classes; c++) { if (logits[c] > logits[largest]) { largest = c; } }
        var sum = 0.0;
        for (var c = 0u; c < params.classes; c++) { sum += exp(logits[c] - logits[largest]); }
        loss += log(sum) - (logits[label] - logits[largest]);
        correct += u32(largest == label);
        g[k] = (exp(logits[k] - logits[largest]) / sum - select(0.0, 1.0, k == label)) / samples;
        for (var layer = params.depth; layer > 0u; layer--) {
            workgroupBarrier();
            let units = units_of(layer);
            let weights = weights_of(r, layer);
            let input = output_of(r, layer - 1u, n);
            // As a unit: the gradients of its weights and bias. As an input: its own.
            if (k < units) {
                for (var i = 0u; i < params.units; i++) { gradient[weights + i * units + k] += activations[input + i] * g[k]; }
                gradient[weights + params.units * units + k] += g[k];
            }
            var own = 0.0;
            if (k < params.units && activations[input + k] > 0.0) {
                for (var j = 0u; j < units; j++) { own += parameters[weights + k * units + j] * g[j]; }
            }
            workgroupBarrier();
            storageBarrier();
            g[k] = own;
            if (layer == 1u && k < params.units) { activations[input + k] = own; }
        }
    }
    if (k == 0u) { losses[step.row * params.replicas + r] = Loss(loss / samples, correct); }
}
