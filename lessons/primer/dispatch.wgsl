// A dispatch launches whole workgroups: 3 of 4 invocations here, though there are only 10 elements to own.
// run: 3 workgroups; group = 12 zeros; lane = 12 zeros

@group(0) @binding(0) var<storage, read_write> group: array<u32>;
@group(0) @binding(1) var<storage, read_write> lane: array<u32>;

@compute @workgroup_size(4)
fn main(
    @builtin(global_invocation_id) id: vec3u,
    @builtin(workgroup_id) which: vec3u,
    @builtin(local_invocation_index) own: u32,
) {
    if (id.x >= 10u) { return; } // the last two own nothing
    group[id.x] = which.x;
    lane[id.x] = own;
}
