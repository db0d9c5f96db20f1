// prelude.dense_images: layer 0 of prelude.dense_step reads images.
//
// They lie [image, y, word of 4 pixels], rows padded with 0 to whole words, in `images`, which the kernel declares; samples
// name theirs. Reads may ask for a word behind the last of an image: they get the last one again, and what they make of
// it is not written.

// The first word of a sample.
fn input_start(r: u32, step: Step, n: u32) -> u32 {
    return sample(r, step, n).image * words_of_sample();
}

fn input_quad(start: u32, word: u32) -> vec4f {
    return unpack_pixels(images[start + word]);
}
