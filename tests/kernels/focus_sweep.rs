use crate::*;
use holdfast::check::focus_sweep::{Case, all, cases, evaluate};
use holdfast::kernels::focus_sweep::Evaluate;

#[test]
fn matches_twin() {
    assert_passed(&all(gpu()).unwrap());
}

#[test]
fn every_variant_agrees() {
    cases().iter().for_each(|case| assert_variants_agree(|on| evaluate(on.gpu, case)));
}

#[test]
fn writes_all_and_only_its_output() {
    cases().iter().for_each(|case| assert_whole(&evaluate(gpu(), case).unwrap().0));
}

#[test]
fn is_deterministic() {
    let case = Case { replicas: 2, points: 5, samples: 200, width: 30, classes: 10 };
    assert_deterministic(|on| evaluate(on.gpu, &case));
}

#[test]
fn rejects_bad_shapes() {
    assert!(Evaluate::new(gpu(), 1023).is_ok());
    assert_refused(Evaluate::new(gpu(), 1024), &["focus_sweep.evaluate", "1024 units", "1023"]);
    assert_refused(Evaluate::new(gpu(), 0), &["0 units"]);
    let case = Case { replicas: 1, points: 2, samples: 600, width: 2, classes: 2 };
    assert_refused(evaluate(lowered(), &case), &["4800 bytes", "4096"]);
}
