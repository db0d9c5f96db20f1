// prelude.dense_loss: mean cross-entropy of a step of prelude.dense_step, correct samples, and the gradient of the mean.
//
// As softmax_cross_entropy.loss; one invocation owns a sample at a time. Sums over samples are made in one order: each of 32
// places adds its own, then they are added in pairs.
// Twin: src/cpu/softmax_cross_entropy.rs.

// Of each of SAMPLES places; later samples are added to those 32 before.
var<workgroup> sample_loss: array<f32, SAMPLES>;
var<workgroup> sample_correct: array<u32, SAMPLES>;

// The largest so far and where it was, after four more logits; the first of equal ones counts.
struct Largest {
    value: f32,
    place: u32,
}

fn larger(before: Largest, value: f32, place: u32) -> Largest {
    let wins = value > before.value;
    return Largest(select(before.value, value, wins), select(before.place, place, wins));
}

// Logits become their gradient; a sample beyond the last one has none.
fn loss(r: u32, step: Step, n: u32, lane: u32) {
    let classes = launch.params.classes;
    let quads = (classes + 3u) / 4u;
    for (var row = lane; row < SAMPLES; row += WORKGROUP_SIZE) {
        let first = gradient_of(r, launch.params.depth) + (n + row) * QUADS;
        let label = sample(r, step, n + row).label;
        let target_logit = scratch[first + label / 4u][label % 4u];
        var largest = Largest(scratch[first].x, 0u);
        for (var q = 0u; q < quads; q++) {
            let there = existing(q, classes);
            let z = select(vec4f(largest.value), scratch[first + q], there);
            largest = larger(largest, z.x, 4u * q);
            largest = larger(largest, z.y, 4u * q + 1u);
            largest = larger(largest, z.z, 4u * q + 2u);
            largest = larger(largest, z.w, 4u * q + 3u);
        }
        var sum = 0.0;
        for (var q = 0u; q < quads; q++) {
            let e = select(vec4f(0.0), exp(scratch[first + q] - largest.value), existing(q, classes));
            sum = sum + e.x + e.y + e.z + e.w;
            scratch[first + q] = e;
        }
        let counts = n + row < step.samples;
        for (var q = 0u; q < quads; q++) {
            let one_hot = vec4f(vec4u(4u * q) + vec4u(0u, 1u, 2u, 3u) == vec4u(label));
            let gradient = (scratch[first + q] / sum - one_hot) / f32(step.samples);
            scratch[first + q] = select(vec4f(0.0), gradient, counts);
        }
        if (counts) {
            sample_loss[row] += log(sum) - (target_logit - largest.value);
            sample_correct[row] += u32(largest.place == label);
        }
    }
}

// What the losses of a step come to.
fn store_loss(r: u32, step: Step, lane: u32) {
    for (var stride = SAMPLES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        for (var row = lane; row < stride; row += WORKGROUP_SIZE) {
            sample_loss[row] += sample_loss[row + stride];
            sample_correct[row] += sample_correct[row + stride];
        }
    }
    if (lane == 0u) {
        losses[step.row * launch.params.replicas + r] = Loss(sample_loss[0] / f32(step.samples), sample_correct[0]);
    }
    // The next step starts with sums of 0.
    workgroupBarrier();
}
