// dense_stack.step_features_lanes: dense_stack.step_features for devices whose subgroups have exactly 8 lanes.
//
// One workgroup of 8 invocations, a subgroup, owns one replica (z); tiles as prelude.dense_lanes says.
//   launch              steps, sizes and samples         read, as prelude.dense_step says; scratch likewise
//   features            [replica, sample, feature]       read; their gradient takes their place
//   mask                [replica, weight]                  of the last hidden layer, read
//   parameters, m, v    [replica, parameter]             read and written from `first` on
//   losses              [row, replica]                   written

@group(0) @binding(0) var<storage, read> launch: Launch;
@group(0) @binding(1) var<storage, read_write> features: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> scratch: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> losses: array<Loss>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let r = group.z;
    if (launch.enters == 1u) { enter(r, lane); }
    storageBarrier();
    for (var s = 0u; s < launch.steps; s++) {
        let step = launch.each[s];
        propagate(r, step, lane);
        for (var layer = 1u; layer <= launch.params.depth; layer++) { update(r, layer, step, lane); }
        update_first_and_features(r, step, lane);
        store_loss(r, step, lane);
        storageBarrier();
    }
    if (launch.leaves == 1u) { leave(r, lane); }
}
