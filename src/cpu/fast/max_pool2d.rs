//! Max pooling in blocks of channels that the compiler keeps in one register. Definition: [`crate::cpu::max_pool2d`].

/// Channels are padded with zeros to a multiple of this many: one AVX2 register, two of NEON.
pub const CHANNELS: usize = 8;

/// ReLU, and the pooling of two rows of `[x, channel]` into one: `output` and `argmax` `[x / 2, channel]`. A last column that
/// has no partner is not in them. Where no value is positive, `argmax` may point to any: no gradient passes there.
#[inline(always)]
pub fn relu_and_pool(rows: &[f32], channels: usize, output: &mut [f32], argmax: &mut [u8]) {
    let (upper, lower) = rows.split_at(rows.len() / 2);
    let quads = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
    let targets = output.chunks_exact_mut(channels).zip(argmax.chunks_exact_mut(channels));
    for ((upper, lower), (output, argmax)) in quads.zip(targets) {
        let (upper, lower) = (upper.as_chunks::<CHANNELS>().0, lower.as_chunks::<CHANNELS>().0);
        let blocks = channels / CHANNELS;
        let targets = output.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(argmax.as_chunks_mut::<CHANNELS>().0);
        for (block, (output, argmax)) in targets.enumerate() {
            *output = upper[block];
            *argmax = [0; CHANNELS];
            // The first of equal values wins, so only a larger one takes its place.
            for (code, values) in [(1, &upper[blocks + block]), (2, &lower[block]), (3, &lower[blocks + block])] {
                for ((best, argmax), &value) in output.iter_mut().zip(argmax.iter_mut()).zip(values) {
                    *argmax = if value > *best { code } else { *argmax };
                    *best = if value > *best { value } else { *best };
                }
            }
            output.iter_mut().for_each(|best| *best = if *best > 0.0 { *best } else { 0.0 });
        }
    }
}

/// The other way round: gradients of one pooled row go to where its values came from, in the rows `upper` and `lower` of
/// `[x, channel]`; the other three of each four places become 0.
#[inline(always)]
pub fn spread_row(gradient: &[f32], argmax: &[u8], channels: usize, upper: &mut [f32], lower: &mut [f32]) {
    let sources = gradient.chunks_exact(channels).zip(argmax.chunks_exact(channels));
    let quads = upper.chunks_exact_mut(2 * channels).zip(lower.chunks_exact_mut(2 * channels));
    for ((gradient, argmax), (upper, lower)) in sources.zip(quads) {
        let sources = gradient.as_chunks::<CHANNELS>().0.iter().zip(argmax.as_chunks::<CHANNELS>().0);
        let blocks = channels / CHANNELS;
        let (upper, lower) = (upper.as_chunks_mut::<CHANNELS>().0, lower.as_chunks_mut::<CHANNELS>().0);
        for (block, (gradient, argmax)) in sources.enumerate() {
            let place = |target: &mut [f32; CHANNELS], code: u8| {
                for ((target, &g), &argmax) in target.iter_mut().zip(gradient).zip(argmax) {
                    *target = if argmax == code { g } else { 0.0 };
                }
            };
            place(&mut upper[block], 0);
            place(&mut upper[blocks + block], 1);
            place(&mut lower[block], 2);
            place(&mut lower[blocks + block], 3);
        }
    }
}
