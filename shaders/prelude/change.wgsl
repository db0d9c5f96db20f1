// prelude.change: what a change of the masks is told of each replica.
//
// One record a replica, so that replicas with different targets change side by side.

struct Change {
    replica_id: u32,
    update: u32, // tells the draws of one replica apart
    count: u32,  // how many weights the change is about
}
