// prelude.grid: one flat index out of a grid of rows of workgroups.
//
// A launch has at most 65,535 workgroups in a dimension; what needs more lies in rows along y.
// The z dimension is always the replica.
// The host's side is `grid` in src/kernels/mod.rs.

const WORKGROUPS_PER_ROW: u32 = 32768;

fn flat_index(id: vec3u, workgroup_size: u32) -> u32 {
    return id.y * (WORKGROUPS_PER_ROW * workgroup_size) + id.x;
}
