// magnitude_sort.radix_count: how often each digit occurs in each tile.
//
// One workgroup owns one tile of a segment: x is the tile, y the epoch, z the replica. Each invocation counts in a column
// of its own, so nothing is added by two.
//   keys    [epoch, replica, weight]         read
//   counts  [epoch, replica, digit, tile]  written
// with: radix

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;

// [digit, lane]
var<workgroup> columns: array<u32, DIGITS * WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let segment = group.y * params.replicas + group.z;
    for (var digit = 0u; digit < DIGITS; digit++) { columns[digit * WORKGROUP_SIZE + lane] = 0u; }
    let end = min((group.x + 1u) * TILE, params.weight_count);
    for (var place = group.x * TILE + lane; place < end; place += WORKGROUP_SIZE) {
        let digit = radix_digit(keys[segment * params.weight_count + place], params.shift);
        columns[digit * WORKGROUP_SIZE + lane] += 1u;
    }
    workgroupBarrier();
    for (var digit = lane; digit < DIGITS; digit += WORKGROUP_SIZE) {
        var sum = 0u;
        for (var other = 0u; other < WORKGROUP_SIZE; other++) { sum += columns[digit * WORKGROUP_SIZE + other]; }
        counts[(segment * DIGITS + digit) * params.tiles + group.x] = sum;
    }
}
