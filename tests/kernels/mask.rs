use crate::*;
use holdfast::check::mask::{Case, all, cases, smallest};
use holdfast::gpu::Buffer;
use holdfast::kernels::mask::{Smallest, SmallestArguments};

#[test]
fn matches_twin() {
    assert_passed(&all(gpu()).unwrap());
}

#[test]
fn every_variant_agrees() {
    cases().iter().for_each(|case| assert_variants_agree(|gpu| smallest(gpu, case)));
}

#[test]
fn writes_all_and_only_its_output() {
    cases().iter().for_each(|case| assert_whole(&smallest(gpu(), case).unwrap()));
}

#[test]
fn is_deterministic() {
    assert_deterministic(|gpu| smallest(gpu, &Case { nodes: 100, remove: vec![10, 20, 30] }));
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let nodes = Buffer::<u32>::new(gpu, "nodes", 8).unwrap();
    let remove = Buffer::<u32>::new(gpu, "remove", 2).unwrap();
    let [parameters, m, v] = [18, 18, 17].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let bind = |replicas, nodes_of_layer, v| {
        let arguments = SmallestArguments {
            replicas,
            nodes: nodes_of_layer,
            parameters_per_replica: 10,
            offset: 4,
            rank: &nodes,
            remove: &remove,
            mask: &nodes,
            parameters: &parameters,
            m: &m,
            v,
        };
        Smallest::new(gpu).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(2, 4, &m).is_ok());
    assert_refused(bind(2, 4, &v), &["mask.smallest: v", "17", "18"]);
    assert_refused(bind(2, 5, &m), &["rank", "8", "10"]);
    assert_refused(bind(3, 2, &m), &["remove", "2", "3"]);
}
