// prelude.change: what a change of the masks is told of each replica.
//
// One record a replica, so that replicas with different targets change side by side. It is all that goes up: a change writes
// these records into a buffer that is bound already.
// The host's side is `Change` in src/kernels/mask.rs.

struct Change {
    replica_id: u32,
    update: u32, // tells the draws of one replica apart
    count: u32,  // how many weights the change is about
}
