// prelude.convolution_strip: the register tile of 2 x 8 pixels x 4 channels of a convolution next to a pooling.
//
// Four rows of ten pixels meet three rows of taps: a row of pixels goes to the upper row of the tile, to the lower one, or
// to both, each with its own row of taps.
// Left and right are four pixels each; the last two lie behind the tile.

struct Row {
    left: vec4f,
    right: vec4f,
    last: vec2f,
}

struct Sums {
    upper_left: mat4x4f,
    upper_right: mat4x4f,
    lower_left: mat4x4f,
    lower_right: mat4x4f,
}

fn both_rows(sums: mat4x4f) -> Sums {
    return Sums(sums, sums, sums, sums);
}

fn add_upper(before: Sums, row: Row, taps: mat3x4f) -> Sums {
    var sums = before;
    sums.upper_left = convolve(sums.upper_left, row.left, row.right.xy, taps);
    sums.upper_right = convolve(sums.upper_right, row.right, row.last, taps);
    return sums;
}

fn add_lower(before: Sums, row: Row, taps: mat3x4f) -> Sums {
    var sums = before;
    sums.lower_left = convolve(sums.lower_left, row.left, row.right.xy, taps);
    sums.lower_right = convolve(sums.lower_right, row.right, row.last, taps);
    return sums;
}
