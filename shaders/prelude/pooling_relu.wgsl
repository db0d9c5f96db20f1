// prelude.pooling_relu: what prelude.pooling compares of values that a ReLU produced.
//
// None of them is negative, so their bits are in their order, and those of NaN come last.
// Bits, since devices may assume that there is no NaN when they compare floats.
// Of values of either sign max_pool2d.forward has its own.

fn larger(value: vec4f, best: vec4f) -> vec4<bool> {
    return bitcast<vec4u>(value) > bitcast<vec4u>(best);
}
