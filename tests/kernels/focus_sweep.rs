use crate::*;
use holdfast::check::focus_sweep::{Case, evaluate};
use holdfast::kernels::focus_sweep::Evaluate;

#[test]
fn rejects_bad_shapes() {
    assert!(Evaluate::new(gpu(), [2000, 1023]).is_ok());
    assert_refused(Evaluate::new(gpu(), [3, 1024]), &["focus_sweep.evaluate", "1024 units", "1023"]);
    assert_refused(Evaluate::new(gpu(), [1, 0]), &["0 units"]);
    let case = Case { replicas: 1, points: 2, samples: 600, inputs: 2, units: 2, classes: 2 };
    assert_refused(evaluate(Setting::usual(lowered()), &case), &["4800 bytes", "4096"]);
}
