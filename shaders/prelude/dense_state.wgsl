// prelude.dense_state: weights, biases and moments on their way into scratch and back.
//
// In scratch a row has 32 numbers, whatever the units of its layer, and layer 0 has a row for each number of a word of a
// sample, padding included: a quad is one load, and no sum asks whether it exists. What does not exist is 0, has a gradient
// of 0, and stays 0. Parameters, then m, then v, each all rows of all layers.
// They stay there from launch to launch: the first of a training brings them, the last one puts them back.

// Up to four parameters in their flat array, and how many.
struct Own {
    place: u32,
    count: u32,
}

// How many of up to four there are from `first` on.
fn rest(first: u32, count: u32) -> u32 {
    return min(max(count, first) - first, 4u);
}

// What belongs to quad k of a row of a layer.
fn own_parameters(r: u32, layer: u32, row: u32, k: u32) -> Own {
    let size = launch.params;
    let units = units_of(layer);
    let inputs = size.height * size.width;
    var i = row;
    var exists = row < size.units;
    if (layer == 0u) {
        let y = row / (4u * size.row_words);
        let x = row - y * 4u * size.row_words;
        i = y * size.width + x;
        exists = x < size.width && y < size.height;
    }
    if (row == rows_of(layer)) {
        i = select(size.units, inputs, layer == 0u);
        exists = true;
    }
    let before = select((inputs + 1u + (layer - 1u) * (size.units + 1u)) * size.units, 0u, layer == 0u);
    let place = r * size.parameters + size.first + before + i * units + 4u * k;
    return Own(place, select(0u, rest(4u * k, units), exists));
}

fn enter(r: u32, lane: u32) {
    let moment = rows_of_all() * QUADS;
    for (var layer = 0u; layer <= launch.params.depth; layer++) {
        let first = weights_of(r, layer);
        let quads = (rows_of(layer) + 1u) * QUADS;
        for (var q = lane; q < quads; q += WORKGROUP_SIZE) {
            let own = own_parameters(r, layer, q / QUADS, q % QUADS);
            scratch[first + q] = vec4f(0.0);
            scratch[first + q + moment] = vec4f(0.0);
            scratch[first + q + 2u * moment] = vec4f(0.0);
            if (own.count > 0u) { enter_one(first + q, 0u, moment, own.place); }
            if (own.count > 1u) { enter_one(first + q, 1u, moment, own.place + 1u); }
            if (own.count > 2u) { enter_one(first + q, 2u, moment, own.place + 2u); }
            if (own.count > 3u) { enter_one(first + q, 3u, moment, own.place + 3u); }
        }
    }
}

fn enter_one(quad: u32, i: u32, moment: u32, place: u32) {
    scratch[quad][i] = parameters[place];
    scratch[quad + moment][i] = m[place];
    scratch[quad + 2u * moment][i] = v[place];
}

fn leave(r: u32, lane: u32) {
    let moment = rows_of_all() * QUADS;
    for (var layer = 0u; layer <= launch.params.depth; layer++) {
        let first = weights_of(r, layer);
        let quads = (rows_of(layer) + 1u) * QUADS;
        for (var q = lane; q < quads; q += WORKGROUP_SIZE) {
            let own = own_parameters(r, layer, q / QUADS, q % QUADS);
            if (own.count > 0u) { leave_one(first + q, 0u, moment, own.place); }
            if (own.count > 1u) { leave_one(first + q, 1u, moment, own.place + 1u); }
            if (own.count > 2u) { leave_one(first + q, 2u, moment, own.place + 2u); }
            if (own.count > 3u) { leave_one(first + q, 3u, moment, own.place + 3u); }
        }
    }
}

fn leave_one(quad: u32, i: u32, moment: u32, place: u32) {
    parameters[place] = scratch[quad][i];
    m[place] = scratch[quad + moment][i];
    v[place] = scratch[quad + 2u * moment][i];
}
