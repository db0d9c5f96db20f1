// prelude.dense_step: what the kernels of dense_stack.step are told, and where their arrays have what.
//
// Layer 0 reads samples of any size, layers 1 to depth - 1 are hidden like it, and layer `depth` gives the logits. Each has
// at most 32 units. A sample is rows of words of four numbers; a sample of features is a single row.
// `scratch` holds matrices [row, quad of units] of all samples of a step, numbers beyond the last unit 0: what the hidden
// layers gave out, the gradients with respect to what enters each layer's ReLU, and one to spare.
// The arrays themselves are declared by the kernels. The host's side is src/kernels/dense_stack/launches.rs.

const QUADS: u32 = 8;    // of 32 units
const SAMPLES: u32 = 32; // that go forward and back together
const MOST_STEPS: u32 = 64;

struct Params {
    height: u32,     // rows of a sample
    width: u32,      // numbers of such a row
    row_words: u32,  // words of a row
    scale: f32,      // what the numbers of a sample are multiplied by
    units: u32,      // of a hidden layer
    classes: u32,    // units of the last layer
    depth: u32,      // hidden layers
    capacity: u32,   // samples that a replica has room for
    rows: u32,       // of a matrix in scratch
    replicas: u32,
    parameters: u32, // per replica
    first: u32,      // weight of layer 0; each bias follows its weights, and the next layer follows the bias
    decay: f32,      // what decaying weights are multiplied by
}

struct Step {
    first: u32,   // where the step's samples start among a replica's
    samples: u32,
    row: u32,     // where its loss goes
    rate: f32,    // Adam's bias-corrected learning rate
}

struct Sample {
    image: u32,
    label: u32,
}

// One launch: some steps in a row, and the samples that they take.
struct Launch {
    params: Params,
    steps: u32,
    samples_per_replica: u32,
    each: array<Step, MOST_STEPS>,
    samples: array<Sample>, // [replica, sample]
}

struct Loss {
    mean: f32,
    correct: u32,
}

fn units_of(layer: u32) -> u32 {
    return select(launch.params.units, launch.params.classes, layer == launch.params.depth);
}

fn words_of_sample() -> u32 {
    return launch.params.height * launch.params.row_words;
}

// First weight of a layer.
fn weights_of(r: u32, layer: u32) -> u32 {
    let units = launch.params.units;
    let inputs = launch.params.height * launch.params.width;
    let before = select((inputs + 1u + (layer - 1u) * (units + 1u)) * units, 0u, layer == 0u);
    return r * launch.params.parameters + launch.params.first + before;
}

fn matrix(r: u32, index: u32) -> u32 {
    return (r * (2u * launch.params.depth + 2u) + index) * launch.params.rows * QUADS;
}

// What a hidden layer gave out.
fn output_of(r: u32, layer: u32) -> u32 {
    return matrix(r, layer);
}

// The gradient with respect to what enters a layer's ReLU; before that of the last layer is made, its logits.
fn gradient_of(r: u32, layer: u32) -> u32 {
    return matrix(r, launch.params.depth + layer);
}

fn sample(r: u32, step: Step, n: u32) -> Sample {
    return launch.samples[r * launch.samples_per_replica + step.first + min(n, step.samples - 1u)];
}

// Four neighbours from 4 q on; beyond the last it names the last again, and nothing is written there.
fn quad(q: u32, count: u32) -> vec4u {
    return min(vec4u(4u * q) + vec4u(0u, 1u, 2u, 3u), vec4u(count - 1u));
}

// Which of these four exist.
fn existing(q: u32, count: u32) -> vec4<bool> {
    return vec4u(4u * q) + vec4u(0u, 1u, 2u, 3u) < vec4u(count);
}

fn parameters_at(places: vec4u) -> vec4f {
    return vec4f(parameters[places.x], parameters[places.y], parameters[places.z], parameters[places.w]);
}
