// prelude.step: what changes from one training step to the next.
//
// Records of 256 bytes lie in one buffer; each launch is bound to its own. So one submission holds many steps, and a
// short last batch needs no other pipeline. Read from storage, not from a uniform: Mesa's software driver compiles a
// kernel anew when a uniform that ends a loop changes.

struct Step {
    first: u32,        // where the step's samples start in a replica's order
    order_stride: u32, // elements from one replica's order to the next; 0 if all share one
    samples: u32,      // samples in this step
    row: u32,          // where results of this step go
    rate: f32,         // Adam's bias-corrected learning rate
}
