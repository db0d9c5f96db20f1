// surgeon.importance: sums[n, y, k] += sum_x gradient[n, y, x, k]^2, what one logit adds to the importance of the units.
//
// One invocation owns a unit in one run of positions of a sample: a row of a convolution's, the one position of a dense
// layer. Nobody else touches its sum, so that no bit depends on the order of workgroups. The host adds up runs and samples.
//   gradient  [sample, y, x, unit]  derivatives of the logit, read
//   sums      [sample, y, unit]     read and written for the samples of the step
// Bytes: 4 per derivative and 8 per sum. Bound by memory bandwidth.
// with: grid, step

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    units: u32,
    runs: u32,   // of a sample
    length: u32, // positions of a run
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let own = flat_index(id, WORKGROUP_SIZE);
    let run = own / params.units;
    if (run >= step.samples * params.runs) { return; }
    var place = run * params.length * params.units + own - run * params.units;
    var sum = 0.0;
    for (var x = 0u; x < params.length; x++) {
        let derivative = gradient[place];
        sum += derivative * derivative;
        place += params.units;
    }
    sums[own] += sum;
}
