// softmax_cross_entropy.naive: mean cross-entropy of a batch, correct samples, and the gradient of the mean,
// (softmax(logits) - one_hot(label)) / samples.
//
// To begin reading with, never used by the engine: one invocation owns the batch of one replica (z).
//   order     [replica, place]          indices into labels [image], read from the step's first place on
//   logits    [replica, sample, class]  read
//   gradient  [replica, sample, class]  written for the samples of the step
//   losses    [row, replica]            mean loss and correct samples, one entry written
// with: step

struct Loss {
    mean: f32,
    correct: u32,
}

struct Params {
    classes: u32,
    capacity: u32, // samples that a replica has room for
    replicas: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> logits: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(6) var<storage, read_write> losses: array<Loss>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
    let r = group.z;
    var loss = 0.0;
    var correct = 0u;
    for (var n = 0u; n < step.samples; n++) {
        let row = (r * params.capacity + n) * params.classes;
        let label = labels[order[r * step.order_stride + step.first + n]];
        var largest = 0u;
        for (var c = 1u; c < params.classes; c++) {
            if (logits[row + c] > logits[row + largest]) { largest = c; }
        }
        // The largest logit is taken off, so that no exponential overflows.
        let maximum = logits[row + largest];
        var sum = 0.0;
        for (var c = 0u; c < params.classes; c++) { sum += exp(logits[row + c] - maximum); }
        for (var c = 0u; c < params.classes; c++) {
            let softmax = exp(logits[row + c] - maximum) / sum;
            gradient[row + c] = (softmax - select(0.0, 1.0, c == label)) / f32(step.samples);
        }
        loss += log(sum) - (logits[row + label] - maximum);
        correct += u32(largest == label);
    }
    losses[step.row * params.replicas + r] = Loss(loss / f32(step.samples), correct);
}
