// magnitude_sort.radix_keys: what the radix sort moves, a key and the weight's index, in the order of the weights.
//
// One workgroup owns one tile of a segment: x is the tile, y the epoch, z the replica.
//   weights        bits of f32; a segment starts at offset + epoch * epoch_stride + replica * replica_stride, read
//   keys, indices  [epoch, replica, weight]  written
// The key is the magnitude's complement in 31 bits: ascending keys are descending magnitudes.
// with: keys

override WORKGROUP_SIZE: u32 = 64;

const TILE: u32 = 2048;

struct Params {
    weight_count: u32,
    replicas: u32,
    offset: u32,
    epoch_stride: u32,
    replica_stride: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<u32>;
@group(0) @binding(2) var<storage, read_write> keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let source = params.offset + group.y * params.epoch_stride + group.z * params.replica_stride;
    let segment = (group.y * params.replicas + group.z) * params.weight_count;
    let end = min((group.x + 1u) * TILE, params.weight_count);
    for (var weight_index = group.x * TILE + lane; weight_index < end; weight_index += WORKGROUP_SIZE) {
        keys[segment + weight_index] = 0x7fffffffu - magnitude_key(weights[source + weight_index]);
        indices[segment + weight_index] = weight_index;
    }
}
