//! The ledger: what each method's operating points cost, and from how many points on the cheaper one has paid off.
//!
//! **Marginal** is what one more operating point costs: time / (distinct points x replicas). For methods that prune a
//! trained network it is making the mask and evaluating it; for exponential decay it is training to the target and evaluating. **Fixed**
//! is what was spent before the first point: training, and for methods that read the history also recording, sorting
//! and counting; exponential decay has none.

use super::workload::Workload;
use crate::numbers::{ranged, significant};
use crate::pruning::{Layers, Method, Repair};
use crate::statistics::spread::Spread;
use crate::statistics::standard_deviation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was measured of one method, all replicas together: points and seconds, which do not overlap, and milliseconds per
/// point and replica, once for each block of the measurement, in which all methods had their turn. Without blocks the marginal
/// cost follows from the seconds.
pub type Measured = (LedgerRow, Vec<f64>);

/// One line of `ledger.csv`. The order of the fields is the order of the columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// The method.
    pub method: Method,
    /// Which reading of it, e.g. `density`; empty where there is only one.
    pub rule: String,
    /// Which layers' weights are pruned.
    #[serde(default)]
    pub layers: Layers,
    /// What is done about the weights that stay.
    #[serde(default)]
    pub repair: Repair,
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Number of training runs.
    pub replicates: u32,
    /// Operating points of a replica.
    pub operating_points: u32,
    /// Operating points of a replica whose masks differ, as a mean over the replicas.
    pub distinct_points: f64,
    /// Seconds of training: for exponential decay of all targets.
    pub train_s: f64,
    /// Seconds of recording, if the method reads the history.
    pub record_s: Option<f64>,
    /// Seconds of sorting and counting, if the method reads the history.
    pub sort_count_s: Option<f64>,
    /// Seconds of running calibration images through the networks, of Gram matrices and of paths, if the method needs them.
    #[serde(default)]
    pub calibrate_s: Option<f64>,
    /// Seconds of making masks and evaluating them, of solving weights anew too; for exponential decay of evaluating.
    pub prune_evaluate_s: f64,
    /// Seconds of compiling shaders and building pipelines.
    pub build_s: f64,
    /// Seconds of copying between host and device.
    pub transfer_s: f64,
    /// Sum of all seconds.
    pub total_s: f64,
    /// Seconds spent before the first operating point; none for exponential decay.
    pub fixed_s: Option<f64>,
    /// Milliseconds of one more point of one replica: median over blocks; none without points.
    pub marginal_ms: Option<f64>,
    /// Standard deviation over blocks; none below two.
    pub marginal_ms_sd: Option<f64>,
    /// Where the median lies with 95 %, see [`Spread`]; none without blocks.
    #[serde(default)]
    pub marginal_ms_low: Option<f64>,
    /// And at most.
    #[serde(default)]
    pub marginal_ms_high: Option<f64>,
    /// Marginal cost divided by that of `stability` of the same layers, if both are there: the median over blocks, each method's
    /// block divided by that of `stability` beside it.
    #[serde(alias = "ratio_to_ms")]
    pub ratio_to_stability: Option<f64>,
    /// Where that median lies with 95 %; none without blocks.
    #[serde(default)]
    pub ratio_to_stability_low: Option<f64>,
    /// And at most.
    #[serde(default)]
    pub ratio_to_stability_high: Option<f64>,
    /// Blocks of the measurement; none where it was taken once, and of older runs.
    #[serde(default)]
    pub blocks: Option<u32>,
    /// Whether the times are sums of segments of a run that was stopped and taken up again.
    pub resumed: bool,
}

impl LedgerRow {
    /// Charges what was measured: the sums and ratios follow from it.
    fn charged(self, workload: &Workload, repetitions_ms: &[f64]) -> Self {
        let Self { method, train_s, prune_evaluate_s, build_s, transfer_s, .. } = self;
        let [record_s, sort_count_s] =
            [self.record_s, self.sort_count_s].map(|seconds| seconds.filter(|_| method.reads_history()));
        let history_s = record_s.unwrap_or(0.0) + sort_count_s.unwrap_or(0.0) + self.calibrate_s.unwrap_or(0.0);
        let marginal_s = if method.retrains() { train_s + prune_evaluate_s } else { prune_evaluate_s };
        let evaluations = self.distinct_points * f64::from(workload.replicates);
        let repeated = Spread::of(repetitions_ms);
        let marginal_ms = match &repeated {
            Some(spread) => Some(spread.median),
            None => (evaluations > 0.0).then(|| 1000.0 * marginal_s / evaluations),
        };
        let several = repeated.filter(|spread| spread.count > 1);
        Self {
            model: workload.model.clone(),
            data_set: workload.data_set.clone(),
            replicates: workload.replicates,
            record_s,
            sort_count_s,
            total_s: train_s + history_s + prune_evaluate_s + build_s + transfer_s,
            fixed_s: (!method.retrains()).then_some(train_s + history_s),
            marginal_ms,
            marginal_ms_sd: standard_deviation(repetitions_ms),
            marginal_ms_low: several.map(|spread| spread.low),
            marginal_ms_high: several.map(|spread| spread.high),
            blocks: several.map(|spread| spread.count as u32),
            ..self
        }
    }
}

impl LedgerRow {
    /// Takes in how many times as long a point took as one by `stability` beside it, if that was measured more than once.
    pub(crate) fn beside_stability(&mut self, ratio: Option<Spread>) {
        let ratio = ratio.filter(|ratio| ratio.count > 1);
        self.ratio_to_stability = ratio.map(|ratio| ratio.median);
        self.ratio_to_stability_low = ratio.map(|ratio| ratio.low);
        self.ratio_to_stability_high = ratio.map(|ratio| ratio.high);
    }

    /// The ratio to `stability` with its range, for people: `290 (240 to 330)`. Without a range nobody should quote it, and there is
    /// none.
    pub fn ratio(&self) -> Option<String> {
        if self.method == Method::Stability {
            return Some("1".into());
        }
        let numbers = [self.ratio_to_stability?, self.ratio_to_stability_low?, self.ratio_to_stability_high?];
        Some(ranged(numbers, ""))
    }
}

/// From how many points on a method has cost less in total than exponential decay, one target after the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BreakEven {
    /// With all fixed costs charged; points of each replica.
    pub points: f64,
    /// If the network had to be trained anyway, so that only recording, sorting and counting are charged.
    pub points_if_trained: f64,
}

/// The ledger of one model on one data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// What was compared.
    pub workload: Workload,
    /// One row for each method, in the order given.
    pub rows: Vec<LedgerRow>,
}

impl Ledger {
    /// Charges every method what it used. All replicas together on both sides: `measured` and rows hold sums of seconds.
    pub fn new(workload: Workload, measured: Vec<Measured>) -> Self {
        // Of the same layers.
        let stability: BTreeMap<Layers, (Option<f64>, Vec<f64>)> = measured
            .iter()
            .filter(|(row, _)| row.method == Method::Stability)
            .map(|(row, blocks)| {
                let charged = row.clone().charged(&workload, blocks);
                (row.layers.clone(), (charged.marginal_ms.filter(|&ms| ms > 0.0), blocks.clone()))
            })
            .collect();
        let charge = |(row, blocks): Measured| {
            let row = row.charged(&workload, &blocks);
            // Some were compared beside their own measurement.
            let Some((marginal_ms, own)) = stability.get(&row.layers).filter(|_| row.ratio_to_stability.is_none())
            else {
                return row;
            };
            let mut row = row;
            row.beside_stability(Spread::of_ratios(&blocks, own));
            let of_marginals = row.marginal_ms.zip(*marginal_ms).map(|(marginal, ms)| marginal / ms);
            row.ratio_to_stability = row.ratio_to_stability.or(of_marginals);
            row
        };
        let rows = measured.into_iter().map(charge).collect();
        Self { workload, rows }
    }

    /// The first row of a method.
    pub fn row(&self, method: Method) -> Option<&LedgerRow> {
        self.rows.iter().find(|row| row.method == method)
    }

    /// Where `row` breaks even with the first `decay-sequential` row: fixed / (marginal of decay − marginal of `row`), both per
    /// replica. `None` for exponential decay itself, without it, and where a point of it is no dearer, so that nothing is ever won.
    pub fn break_even(&self, row: &LedgerRow) -> Option<BreakEven> {
        let fixed_s = row.fixed_s?;
        let saved_ms = self.row(Method::DecaySequential)?.marginal_ms? - row.marginal_ms?;
        let points = |seconds: f64| 1000.0 * seconds / f64::from(row.replicates) / saved_ms;
        (saved_ms > 0.0)
            .then(|| BreakEven { points: points(fixed_s), points_if_trained: points(fixed_s - row.train_s) })
    }

    /// Seconds of all replicas for as many points as exponential decay has targets, `[stability, decay-sequential]`: fixed costs
    /// included, building and copying left out on both sides.
    pub fn totals_s(&self) -> Option<[f64; 2]> {
        let (ms, ed) = (self.row(Method::Stability)?, self.row(Method::DecaySequential)?);
        let points_s = |marginal_ms: f64| marginal_ms / 1000.0 * ed.distinct_points * f64::from(ed.replicates);
        Some([ms.fixed_s? + points_s(ms.marginal_ms?), points_s(ed.marginal_ms?)])
    }

    /// The sentence that a reader may quote: the marginal ratio beside what arithmetic alone predicts, and both totals.
    /// `None` unless `stability` and `decay-sequential` were both measured.
    pub fn summary(&self) -> Option<String> {
        let (ms, ed) = (self.row(Method::Stability)?, self.row(Method::DecaySequential)?);
        let (ms_marginal, ed_marginal) = (ms.marginal_ms?, ed.marginal_ms?);
        let [ms_s, ed_s] = self.totals_s()?;
        let measured = ed.ratio().zip(ed.blocks);
        Some(format!(
            "On {} with {}, one more operating point of one replica took {} ms with magnitude stability and {} ms with \
             exponential decay{} (arithmetic alone predicts {} times as long; the paper says over 10). All replicas \
             together, {} points of exponential decay took {} s, and as many of magnitude stability {} s, training included.",
            self.workload.data_set,
            self.workload.model,
            significant(ms_marginal),
            significant(ed_marginal),
            measured.map(|(ratio, blocks)| format!(": {ratio} times as long in {blocks} blocks")).unwrap_or_default(),
            significant(self.workload.arithmetic_ratio()),
            significant(ed.distinct_points),
            significant(ed_s),
            significant(ms_s),
        ))
    }

    /// The sentence that belongs beside it: where the gain comes from, and when there is none.
    pub fn caveat(&self) -> String {
        let one_shot = match self.row(Method::Magnitude).and_then(|row| row.marginal_ms) {
            Some(marginal) => format!(" ({} ms a point)", significant(marginal)),
            None => String::new(),
        };
        format!(
            "The gain comes from not retraining, which one-shot pruning by smallest magnitude{one_shot} shares. Counted in \
             epochs, {} for magnitude stability against {} for each point of exponential decay, magnitude stability \
             loses in total below about {} points, unless the training was needed anyway.",
            self.workload.epochs,
            self.workload.baseline_epochs,
            significant(self.workload.epoch_ratio().round()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(method: Method, distinct_points: f64, train_s: f64, prune_evaluate_s: f64) -> Measured {
        let row = LedgerRow {
            method,
            operating_points: 300,
            distinct_points,
            train_s,
            record_s: Some(1.0),
            sort_count_s: Some(2.0),
            prune_evaluate_s,
            build_s: 0.25,
            transfer_s: 0.5,
            ..LedgerRow::default()
        };
        (row, Vec::new())
    }

    /// 5 replicas; stability: 40 points at 10 ms; decay: 21 points at 1 s.
    fn ledger() -> Ledger {
        let rows = vec![
            measured(Method::Stability, 40.0, 97.0, 2.0),
            measured(Method::Magnitude, 100.0, 97.0, 2.5),
            measured(Method::DecaySequential, 21.0, 100.0, 5.0),
        ];
        Ledger::new(Workload::of_the_paper(), rows)
    }

    #[test]
    fn marginal_cost_is_per_distinct_point_and_replica_and_counts_training_only_where_points_are_retrained() {
        let ledger = ledger();
        let marginals: Vec<_> = ledger.rows.iter().map(|row| row.marginal_ms.unwrap()).collect();
        assert_eq!(marginals, [10.0, 5.0, 1000.0]);
        assert_eq!(ledger.rows[2].ratio_to_stability, Some(100.0));
    }

    #[test]
    fn only_methods_that_read_the_history_are_charged_for_it_and_decay_has_no_fixed_cost() {
        let ledger = ledger();
        let fixed: Vec<_> = ledger.rows.iter().map(|row| row.fixed_s).collect();
        assert_eq!(fixed, [Some(100.0), Some(97.0), None]);
        assert_eq!(ledger.rows[1].record_s, None);
        assert_eq!(ledger.rows[0].total_s, 97.0 + 1.0 + 2.0 + 2.0 + 0.25 + 0.5);
        assert_eq!(ledger.rows[2].total_s, 105.75);
    }

    #[test]
    fn at_the_break_even_point_both_methods_have_cost_the_same() {
        let ledger = ledger();
        let (ms, ed) = (&ledger.rows[0], &ledger.rows[2]);
        let even = ledger.break_even(ms).unwrap();
        let per_replica_ms = 1000.0 * ms.fixed_s.unwrap() / 5.0 + even.points * ms.marginal_ms.unwrap();
        assert!((per_replica_ms - even.points * ed.marginal_ms.unwrap()).abs() < 1e-6);
        assert!((even.points_if_trained - 1000.0 * 3.0 / 5.0 / 990.0).abs() < 1e-12);
        assert_eq!(ledger.break_even(ed), None);
    }

    #[test]
    fn a_method_whose_points_cost_more_than_those_of_decay_never_breaks_even() {
        let rows =
            vec![measured(Method::Stability, 1.0, 97.0, 60.0), measured(Method::DecaySequential, 21.0, 100.0, 5.0)];
        let ledger = Ledger::new(Workload::of_the_paper(), rows);
        assert_eq!(ledger.break_even(&ledger.rows[0]), None);
    }

    #[test]
    fn totals_charge_the_fixed_cost() {
        // 100 s fixed and 21 x 5 points at 10 ms against 105 s of decay.
        let [stability_s, decay_s] = ledger().totals_s().unwrap();
        assert!((stability_s - 101.05).abs() < 1e-12 && (decay_s - 105.0).abs() < 1e-12);
    }

    #[test]
    fn blocks_give_the_marginal_cost_and_its_ratio_a_range() {
        let stability = (measured(Method::Stability, 4.0, 1.0, 9.0).0, vec![9.0, 10.0, 11.0]);
        let magnitude = (measured(Method::Magnitude, 4.0, 1.0, 9.0).0, vec![18.0, 25.0, 22.0]);
        let decay = LedgerRow {
            ratio_to_stability: Some(300.0),
            ratio_to_stability_low: Some(280.0),
            ratio_to_stability_high: Some(330.0),
            ..measured(Method::DecaySequential, 4.0, 1.0, 9.0).0
        };
        let rows = Ledger::new(Workload::of_the_paper(), vec![stability, magnitude, (decay, vec![3e3, 3e3])]).rows;
        assert_eq!((rows[0].marginal_ms, rows[0].marginal_ms_sd, rows[0].blocks), (Some(10.0), Some(1.0), Some(3)));
        assert_eq!((rows[0].marginal_ms_low, rows[0].marginal_ms_high), (Some(9.0), Some(11.0)));
        // Each block by itself: 2, 2.5 and 2 times.
        let ratio = |row: &LedgerRow| [row.ratio_to_stability, row.ratio_to_stability_low, row.ratio_to_stability_high];
        assert_eq!(ratio(&rows[1]), [Some(2.0), Some(2.0), Some(2.5)]);
        // What was compared beside its own measurement stays.
        assert_eq!(ratio(&rows[2]), [Some(300.0), Some(280.0), Some(330.0)]);
        assert_eq!(rows[2].ratio().as_deref(), Some("300 (280 to 330)"));
    }

    #[test]
    fn without_points_there_is_no_marginal_cost() {
        let row = &Ledger::new(Workload::of_the_paper(), vec![measured(Method::Stability, 0.0, 1.0, 0.0)]).rows[0];
        assert_eq!((row.marginal_ms, row.ratio_to_stability), (None, None));
    }

    #[test]
    fn columns_are_those_of_the_guide() {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(&ledger().rows[2]).unwrap();
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        assert_eq!(
            text,
            "method,rule,layers,repair,model,data_set,replicates,operating_points,distinct_points,train_s,record_s,sort_count_s,\
             calibrate_s,prune_evaluate_s,build_s,transfer_s,total_s,fixed_s,marginal_ms,marginal_ms_sd,\
             marginal_ms_low,marginal_ms_high,ratio_to_stability,ratio_to_stability_low,ratio_to_stability_high,blocks,resumed\n\
             decay-sequential,,focus,cut,dnn,mnist,5,300,21.0,100.0,,,,5.0,0.25,0.5,105.75,,1000.0,,,,100.0,,,,false\n"
        );
    }

    #[test]
    fn sentences_name_the_ratios_and_where_the_gain_comes_from() {
        let mut ledger = ledger();
        let quotable = ledger.summary().unwrap();
        let totals = "21 points of exponential decay took 105 s, and as many of magnitude stability 101 s, training";
        for part in ["10 ms", "1,000 ms", "decay (arithmetic alone predicts 945 times", totals] {
            assert!(quotable.contains(part), "{part}: {quotable}");
        }
        // A ratio is quoted with its range or not at all.
        ledger.rows[2].beside_stability(Spread::of(&[90.0, 100.0, 120.0]));
        ledger.rows[2].blocks = Some(3);
        let quotable = ledger.summary().unwrap();
        assert!(quotable.contains(": 100 (90 to 120) times as long in 3 blocks"), "{quotable}");
        let honest = ledger.caveat();
        for part in ["not retraining", "(5 ms a point)", "below about 33 points", "needed anyway"] {
            assert!(honest.contains(part), "{part}: {honest}");
        }
    }

    #[test]
    fn a_row_of_an_old_run_is_read() {
        let text = "method,rule,model,data_set,replicates,operating_points,distinct_points,train_s,record_s,sort_count_s,\
                    prune_evaluate_s,build_s,transfer_s,total_s,fixed_s,marginal_ms,marginal_ms_sd,ratio_to_ms,resumed\n\
                    ed-sequential,density,dnn,mnist,5,11,11,60,,,1.5,0,0,61.5,,69,,287.5,false\n";
        let read: Vec<LedgerRow> =
            csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>().unwrap();
        let LedgerRow { method, ref layers, repair, ratio_to_stability, .. } = read[0];
        assert_eq!((method, &**layers, repair), (Method::DecaySequential, crate::pruning::FOCUS, Repair::Cut));
        assert_eq!(ratio_to_stability, Some(287.5));
    }
}
