use crate::*;
use holdfast::gpu::Buffer;
use holdfast::kernels::mask::{Change, Draw, DrawArguments, Regrow, RegrowArguments, Smallest, SmallestArguments};

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let weight_count = Buffer::<u32>::new(gpu, "weights", 8).unwrap();
    let changes = Buffer::<Change>::new(gpu, "changes", 2).unwrap();
    let [parameters, m, v] = [18, 18, 17].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let bind = |replicas, weights_of_layer, v| {
        let arguments = SmallestArguments {
            replicas,
            weight_count: weights_of_layer,
            parameters_per_replica: 10,
            offset: 4,
            rank: &weight_count,
            changes: &changes,
            state: 0,
            mask: &weight_count,
            parameters: &parameters,
            m: &m,
            v,
        };
        Smallest::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(2, 4, &m).is_ok());
    assert_refused(bind(2, 4, &v), &["mask.smallest: v", "17", "18"]);
    assert_refused(bind(2, 5, &m), &["rank", "8", "10"]);
    assert_refused(bind(3, 2, &m), &["changes", "2", "3"]);
    let draws = Buffer::<f32>::new(gpu, "draws", 7).unwrap();
    let arguments = |weights_of_layer| DrawArguments {
        weight_count: weights_of_layer,
        state: 1,
        seed: 0,
        changes: &changes,
        mask: &weight_count,
        draws: &draws,
    };
    let draw = Draw::new(gpu, gpu.usual_workgroup_size()).unwrap();
    assert!(draw.bind(gpu, &arguments(3)).is_ok());
    assert_refused(draw.bind(gpu, &arguments(4)), &["mask.draw: draws", "7", "8"]);
    assert_refused(draw.bind(gpu, &arguments(0)), &["weights is 0"]);
    let bind = |weights_of_layer, v| {
        let arguments = RegrowArguments {
            weight_count: weights_of_layer,
            parameters_per_replica: 10,
            offset: 4,
            seed: 0,
            scale: 1.0,
            rank: &weight_count,
            changes: &changes,
            mask: &weight_count,
            parameters: &parameters,
            m: &m,
            v,
        };
        Regrow::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(4, &m).is_ok());
    assert_refused(bind(4, &v), &["mask.regrow: v", "17", "18"]);
    assert_refused(bind(5, &m), &["rank", "8", "10"]);
}
