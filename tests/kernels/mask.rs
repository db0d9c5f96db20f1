use crate::*;
use holdfast::gpu::Buffer;
use holdfast::kernels::mask::{
    Apply, ApplyArguments, Change, Draw, DrawArguments, MaskedPart, RankedState, Regrow, RegrowArguments, Smallest,
    SmallestArguments,
};

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let weight_count = Buffer::<u32>::new(gpu, "weights", 8).unwrap();
    let changes = Buffer::<Change>::new(gpu, "changes", 2).unwrap();
    let [parameters, m, v] = [18, 18, 17].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let part = |weight_count| MaskedPart {
        weight_count,
        start: 0,
        selected: weight_count,
        offset: 4,
        parameters_per_replica: 10,
        masked: 4..4 + weight_count,
    };
    let ranked = RankedState {
        rank: &weight_count,
        changes: &changes,
        mask: &weight_count,
        parameters: &parameters,
        m: &m,
        v: &m,
    };
    let bind = |weights_of_layer, v| {
        let arguments =
            SmallestArguments { part: &part(weights_of_layer), state: 0, ranked: RankedState { v, ..ranked } };
        Smallest::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(4, &m).is_ok());
    assert_refused(bind(4, &v), &["mask.smallest: v", "17", "18"]);
    assert_refused(bind(5, &m), &["rank", "8", "10"]);
    let draws = Buffer::<f32>::new(gpu, "draws", 7).unwrap();
    let draw = Draw::new(gpu, gpu.usual_workgroup_size()).unwrap();
    let draw = |part: MaskedPart| {
        let arguments =
            DrawArguments { part: &part, state: 1, seed: 0, changes: &changes, mask: &weight_count, draws: &draws };
        draw.bind(gpu, &arguments)
    };
    assert!(draw(part(3)).is_ok());
    assert_refused(draw(part(4)), &["mask.draw: draws", "7", "8"]);
    assert_refused(draw(part(0)), &["weights is 0"]);
    let bind = |weights_of_layer, v| {
        let ranked = RankedState { v, ..ranked };
        let arguments = RegrowArguments { part: &part(weights_of_layer), seed: 0, scale: 1.0, ranked };
        Regrow::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(4, &m).is_ok());
    assert_refused(bind(4, &v), &["mask.regrow: v", "17", "18"]);
    assert_refused(bind(5, &m), &["rank", "8", "10"]);
    let refused = |part: MaskedPart, parts: &[&str]| assert_refused(draw(part), parts);
    refused(MaskedPart { start: 1, ..part(3) }, &["3 weights from number 1 of 3"]);
    refused(MaskedPart { masked: 5..8, ..part(3) }, &["parameter 4 of 10", "5..8"]);
    refused(MaskedPart { masked: 4..6, ..part(3) }, &["4..6"]);
    refused(MaskedPart { masked: 0..11, ..part(3) }, &["0..11"]);
    let kept = Buffer::<u32>::new(gpu, "kept", 3).unwrap();
    let apply = |points, replicas, pruned| {
        let (point_replica, parameters) = (&weight_count, &m);
        let arguments = ApplyArguments {
            points,
            replicas,
            parameters_per_replica: 8,
            kept: &kept,
            point_replica,
            parameters,
            pruned,
        };
        Apply::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert!(apply(2, 2, &v).is_ok());
    assert_refused(apply(3, 2, &v), &["mask.apply: pruned", "17", "24"]);
    assert_refused(apply(4, 2, &v), &["kept", "3", "4"]);
    assert_refused(apply(2, 3, &v), &["parameters", "18", "24"]);
}
