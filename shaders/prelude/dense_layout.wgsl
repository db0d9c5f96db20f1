// prelude.dense_layout: what the kernels of dense_stack.step are told, and where their arrays have what.
//
// To be read first; then prelude.dense_products, then prelude.dense_update, then the kernel. Layer 0 reads samples of any
// size, layers 1 to depth - 1 are hidden like it, layer `depth` gives the logits; each has at most 32 units. A sample is
// rows of words of four numbers; a sample of features is a single row. The kernel declares the arrays. Launches keep
// weights and moments in scratch: the first of a training enters them, the last one lets them leave.
// The file is long for its drawing of scratch. The host's side is src/kernels/dense_stack/step/launches.rs.

// `scratch` of one replica. A row is 8 quads, 32 numbers, whatever the units of its layer; what does not exist is 0, has a
// gradient of 0 and stays 0, so that a quad is one load and no sum asks whether it exists.
//
//     weights_of(r, 0)          +--------------------------------------+
//                               | weights of layer 0: 4 rows a word    |  rows_of(0)
//                               | its bias                             |  1
//     weights_of(r, 1)          +--------------------------------------+
//                               | weights of layer 1, its bias         |  32 + 1
//                               | ...                                  |
//     weights_of(r, depth)      | weights of layer `depth`, its bias   |  32 + 1
//                               +--------------------------------------+
//     + rows_of_all()           | m of all of these                    |  rows_of_all()
//                               +--------------------------------------+
//     + 2 rows_of_all()         | v of all of these                    |  rows_of_all()
//     output_of(r, 0)           +--------------------------------------+  a row for each sample from here on
//                               | what hidden layer 0 produced         |  params.rows
//                               | ...                                  |
//     output_of(r, depth - 1)   | what hidden layer depth - 1 produced |  params.rows
//     gradient_of(r, 0)         +--------------------------------------+
//                               | gradient of what enters the ReLU     |  params.rows
//                               | ...                                  |
//     gradient_of(r, depth)     | logits, then their gradient          |  params.rows
//     matrix(r, 2 depth + 1)    +--------------------------------------+
//                               | gradient of 32 features              |  params.rows, unused on images
//                               +--------------------------------------+

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
    mask_offset: u32, // the first parameter that the mask covers
    masked: u32,     // how many it covers
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

// Up to four parameters in their flat array, and how many.
struct Own {
    place: u32,
    count: u32,
}

// How many of up to four there are from `first` on.
fn rest(first: u32, count: u32) -> u32 {
    return min(max(count, first) - first, 4u);
}

// Parameter of a layer's first weight.
fn first_parameter(layer: u32) -> u32 {
    let size = launch.params;
    let inputs = size.height * size.width;
    return size.first + select((inputs + 1u + (layer - 1u) * (size.units + 1u)) * size.units, 0u, layer == 0u);
}

// What belongs to quad k of a row of a layer.
fn own_parameters(r: u32, layer: u32, row: u32, k: u32) -> Own {
    let size = launch.params;
    let units = units_of(layer);
    let inputs = size.height * size.width;
    var i = row;
    var exists = row < size.units;
    if (layer == 0u) {
        let y = row / (4u * size.row_words);
        let x = row - y * 4u * size.row_words;
        i = y * size.width + x;
        exists = x < size.width && y < size.height;
    }
    if (row == rows_of(layer)) {
        i = select(size.units, inputs, layer == 0u);
        exists = true;
    }
    let place = r * size.parameters + first_parameter(layer) + i * units + 4u * k;
    return Own(place, select(0u, rest(4u * k, units), exists));
}

fn enter(r: u32, lane: u32) {
    let moment = rows_of_all() * QUADS;
    for (var layer = 0u; layer <= launch.params.depth; layer++) {
        let first = weights_of(r, layer);
        let quads = (rows_of(layer) + 1u) * QUADS;
        for (var q = lane; q < quads; q += WORKGROUP_SIZE) {
            let own = own_parameters(r, layer, q / QUADS, q % QUADS);
            scratch[first + q] = vec4f(0.0);
            scratch[first + q + moment] = vec4f(0.0);
            scratch[first + q + 2u * moment] = vec4f(0.0);
            if (own.count > 0u) { enter_one(first + q, 0u, moment, own.place); }
            if (own.count > 1u) { enter_one(first + q, 1u, moment, own.place + 1u); }
            if (own.count > 2u) { enter_one(first + q, 2u, moment, own.place + 2u); }
            if (own.count > 3u) { enter_one(first + q, 3u, moment, own.place + 3u); }
        }
    }
}

fn enter_one(quad: u32, i: u32, moment: u32, place: u32) {
    scratch[quad][i] = parameters[place];
    scratch[quad + moment][i] = m[place];
    scratch[quad + 2u * moment][i] = v[place];
}

fn leave(r: u32, lane: u32) {
    let moment = rows_of_all() * QUADS;
    for (var layer = 0u; layer <= launch.params.depth; layer++) {
        let first = weights_of(r, layer);
        let quads = (rows_of(layer) + 1u) * QUADS;
        for (var q = lane; q < quads; q += WORKGROUP_SIZE) {
            let own = own_parameters(r, layer, q / QUADS, q % QUADS);
            if (own.count > 0u) { leave_one(first + q, 0u, moment, own.place); }
            if (own.count > 1u) { leave_one(first + q, 1u, moment, own.place + 1u); }
            if (own.count > 2u) { leave_one(first + q, 2u, moment, own.place + 2u); }
            if (own.count > 3u) { leave_one(first + q, 3u, moment, own.place + 3u); }
        }
    }
}

fn leave_one(quad: u32, i: u32, moment: u32, place: u32) {
    parameters[place] = scratch[quad][i];
    m[place] = scratch[quad + moment][i];
    v[place] = scratch[quad + 2u * moment][i];
}
