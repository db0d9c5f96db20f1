// magnitude_sort.radix_rank: the place of each weight, from the sorted weights: rank[indices[place]] = place.
//
// One workgroup owns one tile of a segment: x is the tile, y the epoch, z the replica.
//   indices  [epoch, replica, place]  read: each weight of the segment once
//   rank     [epoch, replica, weight]   written
// with: radix

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> rank: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let base = (group.y * params.replicas + group.z) * params.weight_count;
    let end = min((group.x + 1u) * TILE, params.weight_count);
    for (var place = group.x * TILE + lane; place < end; place += WORKGROUP_SIZE) {
        rank[base + indices[base + place]] = place;
    }
}
