//! The studentized range by the quadrature of Copenhaver & Holland (Journal of Statistical Computation and Simulation 30,
//! 1988), with the panels and limits that R's `ptukey` and `qtukey` take, so that tables can be compared with R's digit by
//! digit. Where the quadrature is off (few or a few thousand degrees of freedom: by up to 2e-4 and 4e-8), R's numbers are,
//! and so are these; [`super::studentized_range`] says where its exact tail takes over.

use libm::{erfc, lgamma};
use std::f64::consts::{LN_2, PI, SQRT_2};
use std::sync::LazyLock;

/// Above so many degrees of freedom the estimate of the deviation counts as exact.
const MANY: f64 = 25_000.0;
/// Half the width of a panel of the outer integral, up to so many degrees of freedom.
const HALF_WIDTHS: [(f64, f64); 4] = [(100.0, 1.0), (800.0, 0.5), (5000.0, 0.25), (MANY, 0.125)];
/// Most panels of the outer integral, and what the last one must hold for another to follow.
const PANELS: u32 = 50;
const NEGLIGIBLE: f64 = 1e-14;
/// Logarithm below which a place of the outer integral, or a power, counts as nothing.
const LEAST: f64 = -30.0;
const LEAST_POWER: f64 = -50.0;

/// The inner integral ends so many standard deviations out: half a range beyond holds everything.
const END: f64 = 8.0;
/// It has two panels for ranges above this, three below.
const WIDE: f64 = 3.0;

/// Steps of the search for a quantile, and the step that ends it.
const SEARCH: usize = 50;
const STEP: f64 = 1e-4;

/// Places between -1 and 1 and their weights (Gauss & Legendre).
type Rule = Vec<(f64, f64)>;
static INNER: LazyLock<Rule> = LazyLock::new(|| gauss_legendre(12));
static OUTER: LazyLock<Rule> = LazyLock::new(|| gauss_legendre(16));

/// The roots of a Legendre polynomial by Newton's method, and their weights.
fn gauss_legendre(degree: u32) -> Rule {
    let root = |index: u32| {
        let mut x = (PI * (f64::from(index) + 0.75) / (f64::from(degree) + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..10 {
            let (mut last, mut value) = (1.0, x);
            for order in 2..=degree {
                let order = f64::from(order);
                (last, value) = (value, ((2.0 * order - 1.0) * x * value - (order - 1.0) * last) / order);
            }
            slope = f64::from(degree) * (x * value - last) / (x * x - 1.0);
            x -= value / slope;
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..degree).map(root).collect()
}

/// Probability that a standard normal number is below `z`.
fn normal(z: f64) -> f64 {
    erfc(-z / SQRT_2) / 2.0
}

/// Probability that the studentized range is at least `q`, 0 or more. `groups` >= 2; `degrees_of_freedom` >= 2, infinity
/// allowed.
pub(super) fn upper_tail(q: f64, groups: u32, degrees_of_freedom: f64) -> f64 {
    if q <= 0.0 {
        return 1.0;
    }
    let groups = f64::from(groups);
    let Some((_, half)) = HALF_WIDTHS.into_iter().find(|(most, _)| degrees_of_freedom <= *most) else {
        return 1.0 - below_normal_range(q, groups);
    };
    // Twice the squared estimate, t, has the density of a chi-squared number with so many degrees of freedom, scaled.
    let shape = degrees_of_freedom / 2.0;
    let scale = shape * degrees_of_freedom.ln() - degrees_of_freedom * LN_2 - lgamma(shape) + half.ln();
    let mut below = 0.0;
    for panel in 1..=PANELS {
        let middle = f64::from(2 * panel - 1) * half;
        let share = |&(place, weight): &(f64, f64)| {
            let t = middle + place * half;
            let logarithm = scale + (shape - 1.0) * t.ln() - t * degrees_of_freedom / 4.0;
            if logarithm < LEAST {
                return 0.0;
            }
            weight * logarithm.exp() * below_normal_range(q * (t / 2.0).sqrt(), groups)
        };
        let found: f64 = OUTER.iter().map(share).sum();
        // The left tail alone would end it: at least the way to the first whole number is gone.
        if f64::from(panel) * half >= 1.0 && found <= NEGLIGIBLE {
            break;
        }
        below += found;
    }
    0.5 - below.min(1.0) + 0.5
}

/// Probability that the range of `groups` standard normal numbers is below `w`: that all lie around 0 by less than half of
/// it, or with the largest x farther out between x - w and x.
fn below_normal_range(w: f64, groups: f64) -> f64 {
    let half = w / 2.0;
    if half >= END {
        return 1.0;
    }
    let around = 2.0 * normal(half) - 1.0;
    let mut below = if around >= (LEAST_POWER / groups).exp() { around.powf(groups) } else { 0.0 };
    let panels = if w > WIDE { 2 } else { 3 };
    let width = (END - half) / f64::from(panels);
    for panel in 0..panels {
        let (from, to) = (half + width * f64::from(panel), half + width * f64::from(panel + 1));
        let (middle, reach) = (f64::midpoint(from, to), (to - from) / 2.0);
        let share = |&(place, weight): &(f64, f64)| {
            let x = middle + reach * place;
            weight * (-x * x / 2.0).exp() * (normal(x) - normal(x - w)).powf(groups - 1.0)
        };
        let found: f64 = INNER.iter().map(share).sum();
        below += found * 2.0 * reach * groups / (2.0 * PI).sqrt();
    }
    if below <= LEAST.exp() { 0.0 } else { below.min(1.0) }
}

/// The value that the studentized range stays below with probability `probability`, by secants from [`start`] until a step
/// is below [`STEP`]: R's quantiles are off by up to a ten-millionth for that, which is more than an end of an interval
/// near 0 forgives.
pub(super) fn quantile(probability: f64, groups: u32, degrees_of_freedom: f64) -> f64 {
    let excess = |q: f64| 1.0 - upper_tail(q, groups, degrees_of_freedom) - probability;
    let mut before = start(probability, f64::from(groups), degrees_of_freedom);
    let mut at_before = excess(before);
    let mut here = if at_before > 0.0 && before > 1.0 { (before - 1.0).max(0.0) } else { before + 1.0 };
    let mut at_here = excess(here);
    for _ in 0..SEARCH {
        let next = (here - at_here * (here - before) / (at_here - at_before)).max(0.0);
        (before, at_before) = (here, at_here);
        (here, at_here) = (next, excess(next));
        if (here - before).abs() < STEP {
            break;
        }
    }
    here
}

/// The published factor for two groups, where the root of 2 stands rounded.
#[expect(clippy::approx_constant, reason = "the search starts where the published one does, to the last bit")]
const OF_TWO_GROUPS: f64 = 1.4142;
/// Degrees of freedom below which the start of the search is corrected for them.
const CORRECTED: f64 = 120.0;

/// Where the search for a quantile begins: the normal quantile of Odeh & Evans (Applied Statistics 23, 1974, algorithm AS
/// 70), brought to the studentized range by Lund & Lund (Applied Statistics 32, 1983, algorithm AS 190).
fn start(probability: f64, groups: f64, degrees_of_freedom: f64) -> f64 {
    const ABOVE: [f64; 5] = [-0.453642210148e-4, -0.204231210125, -0.342242088547, -1.0, 0.322232421088];
    const BELOW: [f64; 5] = [0.38560700634e-2, 0.103537752850, 0.531103462366, 0.588581570495, 0.993484626060e-1];
    let tail = (1.0 - probability) / 2.0;
    let y = (-2.0 * tail.ln()).sqrt();
    let polynomial = |coefficients: [f64; 5]| coefficients.into_iter().fold(0.0, |sum, next| sum * y + next);
    let mut t = y + polynomial(ABOVE) / polynomial(BELOW);
    let few = degrees_of_freedom < CORRECTED;
    if few {
        t += (t * t * t + t) / degrees_of_freedom / 4.0;
    }
    let mut slope = 0.8832 - 0.2368 * t;
    if few {
        slope += (1.208 * t - 1.214) / degrees_of_freedom;
    }
    t * (slope * (groups - 1.0).ln() + OF_TWO_GROUPS)
}
