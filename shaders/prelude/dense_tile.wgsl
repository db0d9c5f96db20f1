// prelude.dense_tile: a product of two matrices in tiles that lie in workgroup memory.
//
// A workgroup of 64 owns 32 rows x 32 columns of the product, an invocation 4 x 4 of them in registers. 16 places of the
// inner axis at a time are copied to workgroup memory, where eight invocations read each number; what lies behind an edge
// counts 0 there. Every sum runs over the inner axis in its order.

const SIDE: u32 = 32u;
const INNER: u32 = 16u;
const LANES: u32 = 64u;
const QUADS: u32 = 8u; // of a side

// [inner, quad of rows] and [inner, quad of columns].
var<workgroup> left: array<vec4f, INNER * QUADS>;
var<workgroup> right: array<vec4f, INNER * QUADS>;

// Row and column where a workgroup's tile begins, in a product of so many columns.
fn tile_start(group: vec3u, columns: u32) -> vec2u {
    let tiles = (columns + SIDE - 1u) / SIDE;
    let tile = flat_index(group, 1u);
    return SIDE * vec2u(tile / tiles, tile % tiles);
}

// A place of a tile that is to be copied: along the inner axis, and the first of four along the other.
struct Place {
    inner: u32,
    first: u32,
}

// Neighbouring invocations copy neighbours along the inner axis: for rows of memory that run along it.
fn along_inner(quad: u32) -> Place {
    return Place(quad % INNER, 4u * (quad / INNER));
}

// Neighbouring invocations copy neighbours along the other axis.
fn across_inner(quad: u32) -> Place {
    return Place(quad / QUADS, 4u * (quad % QUADS));
}

fn slot(place: Place) -> u32 {
    return place.inner * QUADS + place.first / 4u;
}

// Adds what lies in workgroup memory to the sums of an invocation; a column of this matrix is a row of the product.
fn add_products(sums: mat4x4f, lane: u32) -> mat4x4f {
    var result = sums;
    for (var i = 0u; i < INNER; i++) {
        let x = left[i * QUADS + lane / QUADS];
        let y = right[i * QUADS + lane % QUADS];
        result += mat4x4f(x.x * y, x.y * y, x.z * y, x.w * y);
    }
    return result;
}
