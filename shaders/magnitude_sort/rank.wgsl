// magnitude_sort.rank: the place of each weight in descending order of magnitude, ties by lower index.
//
// Rank by counting: rank[i] = #{j : |w_j| > |w_i|, or |w_j| = |w_i| and j < i}. Stable by construction, no exchange, one
// barrier. One workgroup owns one segment of up to 2,048 weights: y is the epoch, z the replica.
//   weights  bits of f32; a segment starts at offset + epoch * epoch_stride + replica * replica_stride, read
//   rank     [epoch, replica, node]  written
// n^2 / 4 vector comparisons a segment from workgroup memory.

override WORKGROUP_SIZE: u32 = 64;

const QUADS: u32 = 512; // room for 2,048 keys, 8 KiB

struct Params {
    nodes: u32,
    replicas: u32,
    offset: u32,
    epoch_stride: u32,
    replica_stride: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<u32>;
@group(0) @binding(2) var<storage, read_write> rank: array<u32>;

var<workgroup> keys: array<vec4u, QUADS>;

// Beyond the last node: a key that is never counted, since it is the smallest and comes after all others.
fn key_at(segment: u32, node: u32) -> u32 {
    if (node >= params.nodes) { return 0u; }
    return magnitude_key(weights[segment + node]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let segment = params.offset + group.y * params.epoch_stride + group.z * params.replica_stride;
    let quads = (params.nodes + 3u) / 4u;
    for (var quad = lane; quad < quads; quad += WORKGROUP_SIZE) {
        let j = quad * 4u;
        keys[quad] =
            vec4u(key_at(segment, j), key_at(segment, j + 1u), key_at(segment, j + 2u), key_at(segment, j + 3u));
    }
    workgroupBarrier();
    let first = (group.y * params.replicas + group.z) * params.nodes;
    for (var i = lane; i < params.nodes; i += WORKGROUP_SIZE) {
        let mine = vec4u(key_at(segment, i));
        var j = vec4u(0u, 1u, 2u, 3u);
        var before = vec4u(0u);
        for (var quad = 0u; quad < quads; quad++) {
            let other = keys[quad];
            before += select(vec4u(0u), vec4u(1u), (other > mine) | ((other == mine) & (j < vec4u(i))));
            j += 4u;
        }
        rank[first + i] = before.x + before.y + before.z + before.w;
    }
}
