// focus_sweep.evaluate: sum of losses and correct samples of many pruned networks, from the focus layer's input on.
//
// One invocation owns 4 samples of one point (z); their hidden units lie in workgroup memory. The softmax runs over the
// classes with a moving maximum, so nothing is kept for each class.
//   labels, input  [image] from the step's first place on, and what the focus layer reads [replica, sample, in]
//   parameters     [replica, parameter]   focus weights [in, out], output weights [in, class] and both biases at their offsets
//   masks          [point, in, word]      a bit for each focus weight: 0 takes it for 0; the first unit is the lowest bit
//   point_replica  [point]                whose input and parameters
//   losses         [point, block]         a block is the samples of one workgroup, from block `step.row` on, written
// with: step, relu

override LANES: u32 = 32;      // a power of two
override HIDDEN: u32 = 960;    // units x LANES

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

var<workgroup> hidden: array<vec4f, HIDDEN>;
var<workgroup> partial_loss: array<f32, LANES>;
var<workgroup> partial_correct: array<u32, LANES>;

// hidden[k, lane] = ReLU(bias + input x weights) for the 4 samples whose rows start at `row`, four units at a time. Their bits
// lie in one word, since the first unit is a multiple of four.
fn focus_layer(r: u32, point: u32, row: vec4u, lane: u32) {
    let words = (params.units + 31u) >> 5u;
    for (var k = 0u; k < params.units; k += 4u) {
        let units = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(params.units - 1u));
        let bias = r * params.parameters + params.focus_bias + units;
        var column = r * params.parameters + params.focus_weights + units;
        var word = point * params.inputs * words + (k >> 5u);
        var y0 = vec4f(parameters[bias.x]);
        var y1 = vec4f(parameters[bias.y]);
        var y2 = vec4f(parameters[bias.z]);
        var y3 = vec4f(parameters[bias.w]);
        for (var i = 0u; i < params.inputs; i++) {
            let x = vec4f(input[row.x + i], input[row.y + i], input[row.z + i], input[row.w + i]);
            let kept = ((vec4u(masks[word]) >> (units & vec4u(31u))) & vec4u(1u)) != vec4u(0u);
            let all = vec4f(parameters[column.x], parameters[column.y], parameters[column.z], parameters[column.w]);
            let weights = select(vec4f(0.0), all, kept);
            y0 += x * weights.x;
            y1 += x * weights.y;
            y2 += x * weights.z;
            y3 += x * weights.w;
            column += params.units;
            word += words;
        }
        // Units beyond the last repeat it: they write the same value once more.
        hidden[units.x * LANES + lane] = relu(y0);
        hidden[units.y * LANES + lane] = relu(y1);
        hidden[units.z * LANES + lane] = relu(y2);
        hidden[units.w * LANES + lane] = relu(y3);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let point = group.z;
    let r = point_replica[point];
    let n = (group.x * LANES + lane) * 4u;
    let sample = vec4u(n, n + 1u, n + 2u, n + 3u);
    let samples = min(sample, vec4u(step.samples - 1u));
    focus_layer(r, point, (r * params.capacity + samples) * params.inputs, lane);

    let place = step.first + samples;
    let label = vec4u(labels[place.x], labels[place.y], labels[place.z], labels[place.w]);
    var maximum = vec4f(0.0);
    var largest = vec4u(0u);
    var sum = vec4f(0.0);
    var at_label = vec4f(0.0);
    for (var c = 0u; c < params.classes; c++) {
        var z = vec4f(parameters[r * params.parameters + params.output_bias + c]);
        var weight = r * params.parameters + params.output_weights + c;
        for (var k = 0u; k < params.units; k++) {
            z += hidden[k * LANES + lane] * parameters[weight];
            weight += params.classes;
        }
        at_label = select(at_label, z, label == vec4u(c));
        if (c == 0u) {
            maximum = z;
            sum = vec4f(1.0);
        } else {
            largest = select(largest, vec4u(c), z > maximum);
            let above = max(maximum, z);
            sum = sum * exp(maximum - above) + exp(z - above);
            maximum = above;
        }
    }
    let exists = sample < vec4u(step.samples);
    let loss = select(vec4f(0.0), log(sum) - (at_label - maximum), exists);
    let correct = select(vec4u(0u), vec4u(1u), exists & (largest == label));
    partial_loss[lane] = loss.x + loss.y + loss.z + loss.w;
    partial_correct[lane] = correct.x + correct.y + correct.z + correct.w;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if (lane < stride) {
            partial_loss[lane] += partial_loss[lane + stride];
            partial_correct[lane] += partial_correct[lane + stride];
        }
    }
    if (lane == 0u) {
        losses[point * params.blocks + step.row + group.x] = BlockLoss(partial_loss[0], partial_correct[0]);
    }
}
