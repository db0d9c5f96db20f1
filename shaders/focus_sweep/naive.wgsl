// focus_sweep.naive: loss and correctness of each sample of many pruned networks, from the focus layer's input on.
//
// To begin reading with, never used by the engine: one invocation owns one sample of one point (z), and that is a block.
//   labels, input  [image] from the step's first place on, and what the focus layer reads [replica, sample, in]
//   parameters     [replica, parameter]   focus weights [in, out], output weights [in, class] and both biases at their offsets
//   masks          [point, in, word]      a bit for each focus weight: 0 takes it for 0; the first unit is the lowest bit
//   point_replica  [point]                whose input and parameters
//   losses         [point, block]         from block `step.row` on, written
// with: step

override HIDDEN: u32 = 30; // units

struct Params {
    inputs: u32,         // units before the focus layer
    units: u32,          // of the focus layer
    classes: u32,
    capacity: u32,       // samples that a replica has room for
    parameters: u32,     // per replica
    focus_weights: u32,  // first of each
    focus_bias: u32,
    output_weights: u32,
    output_bias: u32,
    blocks: u32,         // per point
}

struct BlockLoss {
    sum: f32,
    correct: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> input: array<f32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read> masks: array<u32>;
@group(0) @binding(6) var<storage, read> point_replica: array<u32>;
@group(0) @binding(7) var<storage, read_write> losses: array<BlockLoss>;

var<workgroup> hidden: array<f32, HIDDEN>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
    let point = group.z;
    let n = group.x;
    let r = point_replica[point];
    let own = r * params.parameters;
    let words = (params.units + 31u) / 32u;
    for (var k = 0u; k < params.units; k++) {
        var y = parameters[own + params.focus_bias + k];
        for (var i = 0u; i < params.inputs; i++) {
            let word = masks[(point * params.inputs + i) * words + k / 32u];
            if (((word >> (k % 32u)) & 1u) == 1u) {
                let x = input[(r * params.capacity + n) * params.inputs + i];
                y += x * parameters[own + params.focus_weights + i * params.units + k];
            }
        }
        hidden[k] = max(y, 0.0);
    }
    // The softmax with a moving maximum, so that no exponential overflows.
    var maximum = 0.0;
    var largest = 0u;
    var sum = 0.0;
    var at_label = 0.0;
    for (var c = 0u; c < params.classes; c++) {
        var z = parameters[own + params.output_bias + c];
        for (var k = 0u; k < params.units; k++) {
            z += hidden[k] * parameters[own + params.output_weights + k * params.classes + c];
        }
        if (c == labels[step.first + n]) { at_label = z; }
        if (c == 0u || z > maximum) {
            sum *= exp(maximum - z);
            maximum = z;
            largest = c;
        }
        sum += exp(z - maximum);
    }
    let correct = u32(largest == labels[step.first + n]);
    losses[point * params.blocks + step.row + n] = BlockLoss(log(sum) - (at_label - maximum), correct);
}
