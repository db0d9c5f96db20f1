// magnitude_sort.radix_scatter: brings keys and indices into the order of one digit; equal digits keep their order.
//
// One workgroup owns one tile of a segment: x is the tile, y the epoch, z the replica. Each invocation owns a run of
// neighbouring keys: it counts them, learns where its own go by the counts of the runs before, and moves them in order.
//   keys, indices                [epoch, replica, weight]         read
//   places                       [epoch, replica, digit, tile]  read: from where on a tile's keys of a digit go
//   sorted_keys, sorted_indices  [epoch, replica, weight]         written
// with: radix

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read> places: array<u32>;
@group(0) @binding(4) var<storage, read_write> sorted_keys: array<u32>;
@group(0) @binding(5) var<storage, read_write> sorted_indices: array<u32>;

// [digit, lane]: how many keys of the digit the lane has, then where its next one goes.
var<workgroup> columns: array<u32, DIGITS * WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let segment = group.y * params.replicas + group.z;
    let base = segment * params.weight_count;
    let run = TILE / WORKGROUP_SIZE;
    let first = min(group.x * TILE + lane * run, params.weight_count);
    let end = min(first + run, params.weight_count);
    for (var digit = 0u; digit < DIGITS; digit++) { columns[digit * WORKGROUP_SIZE + lane] = 0u; }
    for (var place = first; place < end; place++) {
        columns[radix_digit(keys[base + place], params.shift) * WORKGROUP_SIZE + lane] += 1u;
    }
    workgroupBarrier();
    for (var digit = lane; digit < DIGITS; digit += WORKGROUP_SIZE) {
        var next = places[(segment * DIGITS + digit) * params.tiles + group.x];
        for (var other = digit * WORKGROUP_SIZE; other < (digit + 1u) * WORKGROUP_SIZE; other++) {
            let count = columns[other];
            columns[other] = next;
            next += count;
        }
    }
    workgroupBarrier();
    for (var place = first; place < end; place++) {
        let key = keys[base + place];
        let column = radix_digit(key, params.shift) * WORKGROUP_SIZE + lane;
        let target_place = base + columns[column];
        columns[column] += 1u;
        sorted_keys[target_place] = key;
        sorted_indices[target_place] = indices[base + place];
    }
}
