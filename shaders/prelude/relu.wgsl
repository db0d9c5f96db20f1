// prelude.relu: max(x, 0) that keeps NaN, where its derivative lets a gradient pass, and which of its results is larger.
//
// Devices may assume that there is no NaN when they compare floats or take their maximum, and many give 0 for max(NaN, 0):
// a network that is broken would look like one that is merely bad. They assume nothing about integers, so bits are compared.
// Both zeros become +0. Twin: `relu` in src/cpu/mod.rs.

const NEGATIVE_ZERO: u32 = 0x80000000u;
const POSITIVE_INFINITY: u32 = 0x7f800000u;

// From -0 to -infinity; negative NaN lies beyond.
fn relu(x: vec4f) -> vec4f {
    return select(x, vec4f(0.0), bitcast<vec4u>(x) - NEGATIVE_ZERO <= vec4u(POSITIVE_INFINITY));
}

// The gradient where `output`, what the ReLU produced, is greater than 0 or NaN; else 0.
fn relu_gradient(gradient: vec4f, output: vec4f) -> vec4f {
    return select(vec4f(0.0), gradient, bitcast<vec4u>(relu(output)) != vec4u(0u));
}

// The same of a single number.
fn relu_gradient_of(gradient: f32, output: f32) -> f32 {
    return relu_gradient(vec4f(gradient), vec4f(output)).x;
}
