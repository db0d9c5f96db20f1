// A probe, not a kernel: copies an array, to find out how many bytes a device moves in a second.
//
// A workgroup owns a piece of 4 x WORKGROUP_SIZE vectors of four words; neighbours copy neighbouring vectors.

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> source: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4u>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let first = (group.y * groups.x + group.x) * 4u * WORKGROUP_SIZE + local.x;
    let length = arrayLength(&destination);
    for (var k = 0u; k < 4u; k++) {
        let i = first + k * WORKGROUP_SIZE;
        if (i < length) {
            destination[i] = source[i];
        }
    }
}
