// prelude.dense_step: what the kernels of dense_stack.step are told, and where their arrays have what.
//
// Layer 0 reads samples of any size, layers 1 to depth - 1 are hidden like it, and layer `depth` gives the logits. Each has
// at most 32 units. A sample is rows of words of four numbers; a sample of features is a single row.
// `scratch` [replica, row, quad of units] holds weights and biases and their moments, see prelude.dense_state; then matrices
// of all samples of a step: what the hidden layers produced, the gradients with respect to what enters each layer's ReLU,
// and one to spare. Numbers beyond the last unit are 0.
// The arrays themselves are declared by the kernels. The host's side is src/kernels/dense_stack/launches.rs.

const QUADS: u32 = 8;    // of 32 units
const INPUTS: u32 = 32;  // rows of weights of a layer after the first
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
    enters: u32, // 1 if weights and moments are not in scratch yet
    leaves: u32, // 1 if they are to be put back
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

// Rows of weights of a layer; its bias is the row behind them.
fn rows_of(layer: u32) -> u32 {
    return select(INPUTS, 4u * words_of_sample(), layer == 0u);
}

// Rows of weights and biases of all layers.
fn rows_of_all() -> u32 {
    return rows_of(0u) + 1u + launch.params.depth * (INPUTS + 1u);
}

fn rows_of_replica() -> u32 {
    return 3u * rows_of_all() + (2u * launch.params.depth + 2u) * launch.params.rows;
}

// First weight of a layer in scratch.
fn weights_of(r: u32, layer: u32) -> u32 {
    let before = select(rows_of(0u) + 1u + (layer - 1u) * (INPUTS + 1u), 0u, layer == 0u);
    return (r * rows_of_replica() + before) * QUADS;
}

fn matrix(r: u32, index: u32) -> u32 {
    return (r * rows_of_replica() + 3u * rows_of_all() + index * launch.params.rows) * QUADS;
}

// What a hidden layer produced.
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

// Four rows of scratch.
fn four_rows(place: u32) -> mat4x4f {
    return mat4x4f(scratch[place], scratch[place + QUADS], scratch[place + 2u * QUADS], scratch[place + 3u * QUADS]);
}
