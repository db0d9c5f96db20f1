// prelude.convolution_tile: the register tile of 4 x 4 pixels x 4 channels of a convolution.
//
// Six rows of six pixels meet three rows of taps, a row of pixels at a time, so that few are held. The first row and column
// lie before the tile; before the image their numbers wrap around, and so are outside like those behind it.
// The shader says what `Columns` its `read_row` is told.

struct Tile {
    n: u32, // sample
    y: u32, // first row
    x: u32, // first column
    channel: u32, // first of four
}

struct Row {
    pixels: vec4f,
    next: vec2f,
}

// Six rows or columns one after the other: their numbers or places, and whether they are in the image.
struct Six {
    first: vec4u,
    last: vec2u,
    first_inside: vec4<bool>,
    last_inside: vec2<bool>,
}

struct Sums {
    row0: mat4x4f,
    row1: mat4x4f,
    row2: mat4x4f,
    row3: mat4x4f,
}

fn tile_of(index: u32, channels: u32) -> Tile {
    let quads = (channels + 3u) / 4u;
    let columns = (params.width + 3u) / 4u;
    let rows = (params.height + 3u) / 4u;
    let strip = index / quads;
    let line = strip / columns;
    let n = line / rows;
    return Tile(n, (line - n * rows) * 4u, (strip - line * columns) * 4u, (index - strip * quads) * 4u);
}

// Six from the one before `start` on.
fn six_around(start: u32, end: u32) -> Six {
    let first = vec4u(start - 1u, start, start + 1u, start + 2u);
    let last = vec2u(start + 3u, start + 4u);
    return Six(first, last, first < vec4u(end), last < vec2u(end));
}

fn all_rows(sums: mat4x4f) -> Sums {
    return Sums(sums, sums, sums, sums);
}

// Adds what three rows of taps take of one channel; `rows` are the places of its rows.
fn convolve_tile(before: Sums, rows: Six, columns: Columns, taps0: mat3x4f, taps1: mat3x4f, taps2: mat3x4f) -> Sums {
    var sums = before;
    var row = read_row(rows.first.x, rows.first_inside.x, columns);
    sums.row0 = convolve(sums.row0, row.pixels, row.next, taps0);
    row = read_row(rows.first.y, true, columns);
    sums.row0 = convolve(sums.row0, row.pixels, row.next, taps1);
    sums.row1 = convolve(sums.row1, row.pixels, row.next, taps0);
    row = read_row(rows.first.z, rows.first_inside.z, columns);
    sums.row0 = convolve(sums.row0, row.pixels, row.next, taps2);
    sums.row1 = convolve(sums.row1, row.pixels, row.next, taps1);
    sums.row2 = convolve(sums.row2, row.pixels, row.next, taps0);
    row = read_row(rows.first.w, rows.first_inside.w, columns);
    sums.row1 = convolve(sums.row1, row.pixels, row.next, taps2);
    sums.row2 = convolve(sums.row2, row.pixels, row.next, taps1);
    sums.row3 = convolve(sums.row3, row.pixels, row.next, taps0);
    row = read_row(rows.last.x, rows.last_inside.x, columns);
    sums.row2 = convolve(sums.row2, row.pixels, row.next, taps2);
    sums.row3 = convolve(sums.row3, row.pixels, row.next, taps1);
    row = read_row(rows.last.y, rows.last_inside.y, columns);
    sums.row3 = convolve(sums.row3, row.pixels, row.next, taps2);
    return sums;
}

fn write_tile(r: u32, tile: Tile, channels: u32, sums: Sums) {
    let image = (r * params.capacity + tile.n) * params.height * params.width * channels;
    write_pixels(image, tile.y, tile.x, tile.channel, channels, sums.row0);
    write_pixels(image, tile.y + 1u, tile.x, tile.channel, channels, sums.row1);
    write_pixels(image, tile.y + 2u, tile.x, tile.channel, channels, sums.row2);
    write_pixels(image, tile.y + 3u, tile.x, tile.channel, channels, sums.row3);
}
