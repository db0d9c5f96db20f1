// magnitude_sort.rank: the place of each weight in descending order of magnitude, ties by lower index.
//
// Rank by counting: rank[i] = #{j : |w_j| > |w_i|, or |w_j| = |w_i| and j < i}. Stable by construction, no exchange, one
// barrier. One workgroup owns one segment of up to 2,048 weights: y is the epoch, z the replica.
//   weights  bits of f32; a segment starts at offset + epoch * epoch_stride + replica * replica_stride, read
//   rank     [epoch, replica, weight]  written
// An invocation counts for four weights at a time: n^2 / 4 vector comparisons a segment, from workgroup memory.
// with: keys

override WORKGROUP_SIZE: u32 = 64;

const QUADS: u32 = 512; // room for 2,048 keys, 8 KiB

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

var<workgroup> keys: array<vec4u, QUADS>;

// Beyond the last weight: a key that is never counted, since it is the smallest and comes after all others.
fn key_at(segment: u32, weight_index: u32) -> u32 {
    if (weight_index >= params.weight_count) { return 0u; }
    return magnitude_key(weights[segment + weight_index]);
}

// 1 where the key `other` of weight j comes before the key `mine` of weight i.
fn before(other: vec4u, mine: vec4u, j: vec4u, i: vec4u) -> vec4u {
    return select(vec4u(0u), vec4u(1u), (other > mine) | ((other == mine) & (j < i)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let segment = params.offset + group.y * params.epoch_stride + group.z * params.replica_stride;
    let quads = (params.weight_count + 3u) / 4u;
    for (var quad = lane; quad < quads; quad += WORKGROUP_SIZE) {
        let j = quad * 4u;
        keys[quad] =
            vec4u(key_at(segment, j), key_at(segment, j + 1u), key_at(segment, j + 2u), key_at(segment, j + 3u));
    }
    workgroupBarrier();
    let first = (group.y * params.replicas + group.z) * params.weight_count;
    for (var own = lane; own < quads; own += WORKGROUP_SIZE) {
        let mine = keys[own];
        let i = vec4u(4u * own, 4u * own + 1u, 4u * own + 2u, 4u * own + 3u);
        var place = vec4u(0u);
        for (var quad = 0u; quad < quads; quad++) {
            let other = keys[quad];
            let j = 4u * quad;
            place += before(vec4u(other.x), mine, vec4u(j), i);
            place += before(vec4u(other.y), mine, vec4u(j + 1u), i);
            place += before(vec4u(other.z), mine, vec4u(j + 2u), i);
            place += before(vec4u(other.w), mine, vec4u(j + 3u), i);
        }
        rank[first + i.x] = place.x;
        if (i.y < params.weight_count) { rank[first + i.y] = place.y; }
        if (i.z < params.weight_count) { rank[first + i.z] = place.z; }
        if (i.w < params.weight_count) { rank[first + i.w] = place.w; }
    }
}
