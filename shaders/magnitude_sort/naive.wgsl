// magnitude_sort.naive: rank[i] = #{j : |w_j| > |w_i|, or |w_j| = |w_i| and j < i}, the place of each weight in descending
// order of magnitude.
//
// To begin reading with, never used by the engine: one invocation owns one rank; y is the epoch, z the replica.
//   weights  bits of f32; a segment starts at offset + epoch * epoch_stride + replica * replica_stride, read
//   rank     [epoch, replica, weight]  written
// with: keys

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    weight_count: u32,
    replicas: u32,
    offset: u32,
    epoch_stride: u32,
    replica_stride: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<u32>;
@group(0) @binding(2) var<storage, read_write> rank: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if (i >= params.weight_count) { return; }
    let segment = params.offset + id.y * params.epoch_stride + id.z * params.replica_stride;
    let mine = magnitude_key(weights[segment + i]);
    var place = 0u;
    for (var j = 0u; j < params.weight_count; j++) {
        let other = magnitude_key(weights[segment + j]);
        place += u32(other > mine || (other == mine && j < i));
    }
    rank[(id.y * params.replicas + id.z) * params.weight_count + i] = place;
}
