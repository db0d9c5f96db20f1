// magnitude_sort.radix_scan: where the keys of each digit and tile go: the sum of all counts before theirs.
//
// One workgroup owns one segment: y is the epoch, z the replica. Each invocation adds up a run of neighbouring counts, and
// starts its own sums where the runs before it end.
//   counts  [epoch, replica, digit, tile]  read and written: digits in order, and the tiles of a digit in order
// with: radix

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;

var<workgroup> sums: array<u32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let len = DIGITS * params.tiles;
    let segment = (group.y * params.replicas + group.z) * len;
    let run = (len + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
    let first = segment + min(lane * run, len);
    let end = segment + min((lane + 1u) * run, len);
    var sum = 0u;
    for (var place = first; place < end; place++) { sum += counts[place]; }
    sums[lane] = sum;
    workgroupBarrier();
    var next = 0u;
    for (var other = 0u; other < lane; other++) { next += sums[other]; }
    for (var place = first; place < end; place++) {
        let count = counts[place];
        counts[place] = next;
        next += count;
    }
}
