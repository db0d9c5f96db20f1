//! One line of `sweep.csv`: how well one pruned network of one replica classifies the test set.

use super::allocation::Scope;
use super::method::{Layers, Method, Repair};
use serde::{Deserialize, Serialize};

/// One operating point of one replica. The order of the fields is the order of the columns of `sweep.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepRow {
    /// How the removed weights were chosen.
    pub method: Method,
    /// Which reading of the method, e.g. `density` for ED; empty where there is only one.
    pub rule: String,
    /// Which layers' weights are pruned.
    #[serde(default)]
    pub layers: Layers,
    /// Among which weights those that go are chosen.
    #[serde(default)]
    pub scope: Scope,
    /// What is done about the weights that stay.
    #[serde(default)]
    pub repair: Repair,
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Which training run.
    pub replica: u32,
    /// Epochs that the network was trained for.
    pub epochs: u32,
    /// Tolerance of magnitude stability, where the method has one.
    pub tolerance: Option<f64>,
    /// Least magnitude stability of a weight that is kept, in epochs, where the method has one.
    pub threshold: Option<u32>,
    /// Number of last epochs that the criterion looks at, where the method has one.
    pub window: Option<u32>,
    /// Achieved share of these layers' weights that are zero, 0 to 1.
    pub sparsity: f64,
    /// Weights of these layers that are not zero.
    #[serde(alias = "nonzero_nodes")]
    pub nonzero_weights: u32,
    /// Weights of these layers that no longer moved at the end of training, kept or not.
    #[serde(alias = "frozen_nodes")]
    pub frozen_weights: u32,
    /// Weights of the whole network divided by those that are kept, biases apart. Runs before this column counted biases too.
    #[serde(alias = "compression_ratio")]
    pub smaller: f64,
    /// Multiply-adds of classifying an image with the whole model divided by those that are left.
    pub theoretical_speedup: f64,
    /// Images that the method looked at to prune; none where it needs none.
    #[serde(default)]
    pub calibration_images: Option<u32>,
    /// Share of the test images that are classified correctly, 0 to 1.
    pub accuracy: f64,
    /// Mean cross-entropy on the test images, in nats.
    pub loss: f64,
    /// Share of training images that are put into the class that the network before the cut puts them into, 0 to 1, where
    /// that was looked at.
    #[serde(default)]
    pub agreement: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pruning::FOCUS;

    #[test]
    fn a_row_survives_csv_and_its_columns_are_those_of_the_guide() {
        let row = SweepRow {
            method: Method::Hold,
            rule: String::new(),
            layers: Layers::default(),
            scope: Scope::Layer,
            repair: Repair::Cut,
            model: "dnn".into(),
            data_set: "mnist".into(),
            replica: 3,
            epochs: 100,
            tolerance: None,
            threshold: None,
            window: Some(50),
            sparsity: 0.8,
            nonzero_weights: 180,
            frozen_weights: 2,
            smaller: 1.026,
            theoretical_speedup: 1.026,
            calibration_images: None,
            accuracy: 0.844,
            loss: 0.61,
            agreement: None,
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(&row).unwrap();
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let columns = "method,rule,layers,scope,repair,model,data_set,replica,epochs,tolerance,threshold,window,sparsity,\
                       nonzero_weights,frozen_weights,smaller,theoretical_speedup,calibration_images,accuracy,loss,agreement";
        assert_eq!(text.lines().next(), Some(columns));
        assert_eq!(read(&text), [row]);
    }

    fn read(text: &str) -> Vec<SweepRow> {
        csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_row_of_an_old_run_is_read() {
        let text = "method,rule,model,data_set,replica,epochs,tolerance,threshold,window,sparsity,nonzero_nodes,\
                    frozen_nodes,compression_ratio,theoretical_speedup,accuracy,loss\n\
                    ms,,dnn,mnist,1,30,0.03,12,,0.5,450,7,1.016,1.02,0.75,0.875\n";
        let SweepRow { method, nonzero_weights, frozen_weights, smaller, ref layers, calibration_images, .. } =
            read(text)[0];
        assert_eq!((method, nonzero_weights, frozen_weights, smaller), (Method::Stability, 450, 7, 1.016));
        assert_eq!((&**layers, calibration_images), (FOCUS, None));
    }
}
