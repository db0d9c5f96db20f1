// softmax_cross_entropy.loss: mean cross-entropy of a batch, correct samples, and the gradient of the mean,
// (softmax(logits) - one_hot(label)) / samples.
//
// One workgroup owns one replica (z), one invocation every 64th sample; partial sums are added in a tree of fixed shape.
//   order     [replica, place]          indices into labels [image], read from the step's first place on
//   logits    [replica, sample, class]  read
//   gradient  [replica, sample, class]  written for the samples of the step
//   losses    [row, replica]            mean loss and correct samples, one entry written
// with: step

const WORKGROUP_SIZE: u32 = 64;

struct Params {
    classes: u32,
    capacity: u32, // samples that a replica has room for
    replicas: u32,
}

struct Loss {
    mean: f32,
    correct: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> logits: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(6) var<storage, read_write> losses: array<Loss>;

var<workgroup> partial_loss: array<f32, WORKGROUP_SIZE>;
var<workgroup> partial_correct: array<u32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let samples = f32(step.samples);
    var loss = 0.0;
    var correct = 0u;
    for (var n = lane; n < step.samples; n += WORKGROUP_SIZE) {
        let row = (r * params.capacity + n) * params.classes;
        let label = labels[order[r * step.order_stride + step.first + n]];
        var largest = 0u;
        var maximum = logits[row];
        for (var c = 1u; c < params.classes; c++) {
            let z = logits[row + c];
            if (z > maximum) {
                maximum = z;
                largest = c;
            }
        }
        var sum = 0.0;
        for (var c = 0u; c < params.classes; c++) {
            let e = exp(logits[row + c] - maximum);
            gradient[row + c] = e;
            sum += e;
        }
        for (var c = 0u; c < params.classes; c++) {
            let one_hot = select(0.0, 1.0, c == label);
            gradient[row + c] = (gradient[row + c] / sum - one_hot) / samples;
        }
        loss += log(sum) - (logits[row + label] - maximum);
        correct += u32(largest == label);
    }
    partial_loss[lane] = loss;
    partial_correct[lane] = correct;
    for (var stride = WORKGROUP_SIZE / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (lane < stride) {
            partial_loss[lane] += partial_loss[lane + stride];
            partial_correct[lane] += partial_correct[lane + stride];
        }
    }
    if (lane == 0u) {
        losses[step.row * params.replicas + r] = Loss(partial_loss[0] / samples, partial_correct[0]);
    }
}
