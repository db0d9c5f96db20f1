//! The examples of the library: what they show is so.

#[expect(dead_code, reason = "what `main` prints is looked at here")]
#[path = "../../examples/stability_of_a_pytorch_history.rs"]
mod stability_of_a_pytorch_history;
#[expect(dead_code, reason = "what `main` prints is looked at here")]
#[path = "../../examples/train_and_prune.rs"]
mod train_and_prune;

use ndarray::Array3;

#[test]
fn of_the_made_up_history_one_weight_holds_to_the_start_and_one_for_its_last_half() {
    let history = stability_of_a_pytorch_history::made_up().unwrap();
    assert_eq!(stability_of_a_pytorch_history::held(&history).unwrap(), [(1, 3), (3, 2), (5, 1)]);
}

#[test]
fn a_file_of_pytorchs_layout_is_read_as_one_network() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.npy");
    ndarray_npy::write_npy(&file, &Array3::<f32>::ones((4, 2, 3))).unwrap();
    let history = stability_of_a_pytorch_history::recorded(&file).unwrap();
    assert_eq!((history.shape().epochs, history.shape().replicas, history.shape().weight_count), (4, 1, 6));
    assert_eq!(stability_of_a_pytorch_history::held(&history).unwrap(), [(1, 6), (2, 6), (4, 6)]);
}

#[test]
fn half_of_a_layer_goes_at_little_cost() {
    for [dense, pruned] in train_and_prune::accuracies().unwrap() {
        assert!(dense > 0.6 && pruned > dense - 0.2, "{dense} dense, {pruned} pruned");
    }
}
