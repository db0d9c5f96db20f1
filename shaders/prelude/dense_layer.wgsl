// prelude.dense_layer: sizes of a dense layer, and where its parameters lie.
//
// Kernels that read features and kernels that read images are told the same: features are an image of one row.
//   parameters  [replica, parameter]  the layer's weights [in, out] from `weights` on, its bias [out] from `bias` on
//   images      [image, y, word]      four numbers to a word, each row (columns x channels) in whole words

struct Params {
    inputs: u32,     // features, or numbers of an image
    outputs: u32,    // units
    capacity: u32,   // samples that a replica has room for
    parameters: u32, // per replica
    weights: u32,    // first weight
    bias: u32,       // first bias
    relu: u32,       // 1 where a ReLU follows, else 0
    height: u32,     // rows of an image
    width: u32,      // numbers of a row of an image: columns x channels
    row_words: u32,  // words of a row
    scale: f32,      // what pixels are multiplied by
}

