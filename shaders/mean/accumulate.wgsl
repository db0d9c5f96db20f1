// mean.accumulate: sums[r, i] += values[r, i]: what is averaged over some epochs, one epoch after the other.
//
// One invocation owns one number; z is the replica. A single addition in a fixed order: every device has the same bits, those
// of a sum over the recorded epochs. The host divides, once, since a device's division may be off by some units.
//   values  [replica, parameter]  read
//   sums    [replica, parameter]  read and written
// Bytes: 12 per number.
// with: grid

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    parameters: u32, // per replica
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let parameter = flat_index(id, WORKGROUP_SIZE);
    if (parameter >= params.parameters) { return; }
    let i = id.z * params.parameters + parameter;
    sums[i] += values[i];
}
