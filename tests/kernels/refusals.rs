//! Both engines behind one front: every argument is wrong once and refused, in the same words by either, and nothing is
//! changed by it.

use crate::*;
use holdfast::data::Dataset;
use holdfast::engine::{
    Batch, DataHandle, Engine, HistoryShape, MaskChange, Network, Replica, Setup, Steps, SweepPoint, SweepSize, Watch,
};
use holdfast::network::{Architecture, Convolution, Selection};
use holdfast::random::{Sequence, Stream};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

fn small_network() -> Architecture {
    Architecture::dnn(5, 6, [7; 3], 4)
}
const WEIGHT_COUNTS: usize = 49;
const SAMPLES: usize = 60;
const BATCH: usize = 16;
const REPLICAS: [u32; 2] = [3, 8];

fn engines() -> [Engine; 2] {
    [cpu(), Engine::gpu(&DeviceChoice::Index(adapter::index()), false, RequestedLimits::Adapter).unwrap()]
}

fn cpu() -> Engine {
    Engine::cpu(Some(2)).unwrap()
}

/// Images and labels of these sizes, unchecked.
fn raw(samples: usize, height: usize, width: usize, classes: usize) -> Dataset {
    let mut draws = Sequence::new(1, Stream::Check, samples as u32, 0);
    let images = (0..samples * height * width).map(|_| draws.next_word() as u8).collect();
    let labels = (0..samples).map(|sample| (sample % classes) as u8).collect();
    Dataset { name: "noise".into(), images, labels, height, width, channels: 1, classes }
}

fn data() -> Arc<Dataset> {
    Arc::new(raw(SAMPLES, 5, 6, 4))
}

fn setup(training: DataHandle) -> Setup<'static> {
    static NETWORK: LazyLock<Architecture> = LazyLock::new(small_network);
    Setup {
        architecture: &NETWORK,
        training,
        batch: BATCH,
        pixel_scale: 255.0,
        seed: 3,
        replica_ids: &REPLICAS,
        selection: focus(),
    }
}

fn focus() -> &'static Selection {
    static FOCUS: LazyLock<Selection> = LazyLock::new(|| Selection::focus(&small_network()));
    &FOCUS
}

fn order(samples: usize) -> Arc<[u32]> {
    (0..samples as u32).collect()
}

fn steps<'a>(orders: &'a [Arc<[u32]>], batches: &'a [Range<usize>]) -> Steps<'a> {
    Steps { first_step: 0, orders, batches, decay: 0.5 }
}

/// What was refused: what is wrong, and what the engine said.
#[derive(Default)]
struct Refusals(Vec<(&'static str, String)>);

impl Refusals {
    /// `result` must be an error with this exit code that names these `parts`.
    fn expect<T>(&mut self, wrong: &'static str, exit_code: u8, parts: &[&str], result: Result<T>) {
        let Err(error) = result else { panic!("{wrong}: not refused") };
        let message = error.to_string();
        assert_eq!(error.exit_code(), exit_code, "{wrong}: {message}");
        for part in parts {
            assert!(message.contains(part), "{wrong}: \"{part}\" is missing in \"{message}\"");
        }
        self.0.push((wrong, message));
    }
}

/// Data sets that are not what their sizes say.
fn wrong_data(engine: &mut Engine, refusals: &mut Refusals) {
    let good = || raw(6, 5, 6, 4);
    let mut load = |wrong, parts: &[&str], set: Dataset| refusals.expect(wrong, 5, parts, engine.load(&Arc::new(set)));
    load("a label too large", &["label 9 of image 2", "4"], Dataset { labels: vec![0, 1, 9, 3, 0, 1], ..good() });
    load("no class", &["label 0 of image 0"], Dataset { classes: 0, ..good() });
    load("no images", &["noise"], Dataset { labels: Vec::new(), images: Vec::new(), ..good() });
    load("no pixels", &["noise"], Dataset { height: 0, images: Vec::new(), ..good() });
    load("a pixel too few", &["179 pixels", "6 labels x 5 x 6"], Dataset { images: vec![0; 179], ..good() });
    load("a label too few", &["180 pixels", "5 labels"], Dataset { labels: vec![0; 5], ..good() });
    load("five channels", &["5 channels", "1 (gray) and 3"], Dataset { channels: 5, ..good() });
    load("sizes without a product", &["noise"], Dataset { height: usize::MAX, width: 2, ..good() });
}

/// Setups that cannot be begun, and whose memory cannot be counted.
fn wrong_setups(engine: &mut Engine, known: DataHandle, foreign: DataHandle, refusals: &mut Refusals) {
    let small = raw(6, 5, 5, 4);
    let other = engine.load(&Arc::new(small)).unwrap();
    let pool = |filters, pools| vec![Convolution { filters, pool: true }; pools];
    let architectures: &[(&'static str, u8, &[&str], Architecture)] = &[
        (
            "no hidden layer before the focus layer",
            2,
            &["depth 1"],
            Architecture { hidden: vec![7], ..small_network() },
        ),
        ("no layer", 2, &["depth 0"], Architecture { hidden: Vec::new(), ..small_network() }),
        ("no width", 2, &["width 0"], Architecture { hidden: vec![7, 0], ..small_network() }),
        ("a width without a square", 2, &["width"], Architecture { hidden: vec![usize::MAX; 2], ..small_network() }),
        ("layers without end", 2, &["depth"], Architecture { hidden: vec![1; 70_000], ..small_network() }),
        ("one class", 5, &["1 classes"], Architecture { classes: 1, ..small_network() }),
        ("classes that no label can name", 5, &["257"], Architecture { classes: 257, ..small_network() }),
        ("no rows", 5, &["no pixels"], Architecture { image_height: 0, ..small_network() }),
        ("no columns", 5, &["no pixels"], Architecture { image_width: 0, ..small_network() }),
        ("images without a product", 2, &["--side"], Architecture { image_height: usize::MAX, ..small_network() }),
        ("no filters", 2, &["0 filters"], Architecture { convolutions: pool(0, 1), ..small_network() }),
        (
            "filters without a product",
            2,
            &["--filters"],
            Architecture { convolutions: pool(usize::MAX, 2), ..small_network() },
        ),
        ("nothing left to pool", 5, &["5 x 6", "8 x 8"], Architecture { convolutions: pool(2, 3), ..small_network() }),
        ("more pools than bits", 5, &["5 x 6"], Architecture { convolutions: pool(2, 70), ..small_network() }),
        ("images of another size", 1, &["5 x 6", "5 x 5"], Architecture { image_width: 5, ..small_network() }),
        ("five channels", 5, &["5 channels", "1 (gray) or 3"], Architecture { channels: 5, ..small_network() }),
        (
            "gray images for colours",
            1,
            &["images of 1 channels", "takes 3"],
            Architecture { channels: 3, ..small_network() },
        ),
        ("too few classes", 1, &["4 classes", "and 3"], Architecture { classes: 3, ..small_network() }),
    ];
    let mut wrong: Vec<(&'static str, u8, &[&str], Setup<'_>)> = vec![
        ("another engine's data", 1, &["not loaded by this engine"], setup(foreign)),
        ("training images of another size", 1, &["5 x 5", "5 x 6"], setup(other)),
        ("a batch of nothing", 2, &["batch of 0"], Setup { batch: 0, ..setup(known) }),
        ("no replicas", 2, &["0 replicas"], Setup { replica_ids: &[], ..setup(known) }),
    ];
    for scale in [0.0, -255.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-60, 1e300] {
        wrong.push(("an impossible scale of pixels", 2, &["divided by"], Setup { pixel_scale: scale, ..setup(known) }));
    }
    for (name, exit_code, parts, architecture) in architectures {
        wrong.push((name, *exit_code, parts, Setup { architecture, ..setup(known) }));
    }
    for (name, exit_code, parts, setup) in wrong {
        refusals.expect(name, exit_code, parts, engine.begin(&setup));
        refusals.expect(name, exit_code, parts, engine.footprint(&setup, SweepSize::default()));
    }
    for (samples, points) in [(usize::MAX, 1), (1, usize::MAX), (usize::MAX / 8, usize::MAX / 8)] {
        let parts = [samples.to_string(), points.to_string()];
        let swept = engine.footprint(&setup(known), SweepSize { samples, points, first_layer: None });
        refusals.expect("a sweep without end", 1, &[&parts[0], &parts[1]], swept);
    }
}

/// Histories, bounds and windows that do not fit together.
fn wrong_histories(engine: &mut Engine, refusals: &mut Refusals) {
    let shape = |epochs, replicas, weight_count| HistoryShape { epochs, replicas, weight_count };
    let history = [1.0f32; 12];
    let (half, more) = (1 << (usize::BITS / 2), [1.0; 13]);
    for (wrong, shape, history) in [
        ("a weight too few", shape(2, 2, 3), &history[..11]),
        ("a weight too many", shape(2, 2, 3), &more[..]),
        ("sizes without a product", shape(half, half, half), &history[..]),
        ("sizes whose product comes round to 0", shape(half, half, 1), &history[..0]),
        ("no epochs of columns without a product", shape(0, usize::MAX, 2), &history[..0]),
    ] {
        let parts = [format!("{} weights", history.len()), format!("{} weights", shape.weight_count)];
        let parts = [&*parts[0], &*parts[1]];
        refusals.expect(wrong, 1, &parts, engine.rank(shape, history));
        refusals.expect(wrong, 1, &parts, engine.count(shape, history, &[], &[]));
        refusals.expect(wrong, 1, &parts, engine.envelope(shape, history, &[]));
    }
    let twice = shape(2, 2, 3);
    let mut count = |wrong, parts: &[&str], shape: HistoryShape, lower: usize, upper: usize| {
        let bounds = vec![0.5; lower.max(upper)];
        let counted = engine.count(shape, &history[..shape.len()], &bounds[..lower], &bounds[..upper]);
        refusals.expect(wrong, 1, parts, counted);
    };
    count("an upper bound too few", &["6 lower", "5 upper"], twice, 6, 5);
    count("lower bounds missing", &["0 lower", "6 upper"], twice, 0, 6);
    count("bounds of half a tolerance", &["9 lower", "6 columns"], twice, 9, 9);
    count("bounds of no columns", &["3 lower", "0 columns"], shape(2, 0, 3), 3, 3);
    for windows in [&[0][..], &[3], &[2, 1], &[1, 2, 3], &[u32::MAX]] {
        let parts = [format!("{windows:?}"), "2 recorded".into()];
        refusals.expect("windows", 1, &[&parts[0], &parts[1]], engine.envelope(twice, &history, windows));
    }
    refusals.expect("a window of no epochs", 1, &["[1]", "0 rec"], engine.envelope(shape(0, 2, 3), &[], &[1]));
}

/// Steps that a batch cannot take.
fn wrong_steps(batch: &mut Batch, refusals: &mut Refusals) {
    let orders = [order(SAMPLES), order(SAMPLES)];
    let first = 0..BATCH;
    let mut train = |wrong, exit_code, parts: &[&str], steps: Steps<'_>| {
        refusals.expect(wrong, exit_code, parts, batch.train(&steps, &Watch::nobody()));
    };
    let one = std::slice::from_ref(&first);
    let three = [order(SAMPLES), order(SAMPLES), order(SAMPLES)];
    train("an order missing", 1, &["1 orders", "2 slots"], steps(&orders[..1], one));
    train("an order too many", 1, &["3 orders", "2 slots"], steps(&three, one));
    train("no orders", 1, &["0 orders", "2 slots"], steps(&[], one));
    for index in [SAMPLES as u32, u32::MAX] {
        let mut wrong = order(SAMPLES).to_vec();
        wrong[7] = index;
        let orders = [order(SAMPLES), wrong.into()];
        train("a sample that is not there", 1, &["slot 1", &format!("sample {index} of 60")], steps(&orders, one));
    }
    let short = [order(SAMPLES), order(BATCH - 1)];
    train("a short order", 1, &["0..16", "slot 1", "15"], steps(&short, one));
    #[expect(clippy::reversed_empty_ranges, reason = "it is to be refused")]
    let ranges = [5..5, 9..3, 0..17, 50..61, 60..61, usize::MAX - 1..usize::MAX, 0..usize::MAX];
    for range in ranges {
        let batches = [first.clone(), range.clone()];
        train("places of a step", 1, &[&format!("{range:?}"), "1 to 16"], steps(&orders, &batches));
    }
    for decay in [f32::NAN, -0.1, 1.5, f32::INFINITY] {
        train("a decay", 2, &[&decay.to_string()], Steps { decay, ..steps(&orders, one) });
    }
    train("the last step and one more", 2, &["1 steps"], Steps { first_step: u64::MAX, ..steps(&orders, one) });
}

/// Masks, weights and replicas that do not fit a batch.
fn wrong_states(batch: &mut Batch, refusals: &mut Refusals) {
    for change in [
        MaskChange::PruneSmallest,
        MaskChange::DecaySmallest,
        MaskChange::PruneRandom { update: 1 },
        MaskChange::RegrowRandom { update: 1 },
    ] {
        refusals.expect("a number missing", 1, &["1 numbers", "2 slots"], batch.change_masks(change, &[1]));
        refusals.expect("a number too many", 1, &["3 numbers", "2 slots"], batch.change_masks(change, &[1, 1, 1]));
        refusals.expect("no numbers", 1, &["0 numbers", "2 slots"], batch.change_masks(change, &[]));
        let parts = ["50 weights of slot 1", "at most 49"];
        refusals.expect("a weight too many", 1, &parts, batch.change_masks(change, &[1, 50]));
        refusals.expect("far too many", 1, &["slot 0"], batch.change_masks(change, &[u32::MAX, 1]));
    }
    for length in [0, WEIGHT_COUNTS, 2 * WEIGHT_COUNTS - 1, 2 * WEIGHT_COUNTS + 1] {
        let parts = [format!("{length} weights"), "2 slots".into(), "49 selected".into()];
        let parts = [&*parts[0], &*parts[1], &*parts[2]];
        refusals.expect("focus weights", 1, &parts, batch.set_weights(focus(), &vec![0.5; length]));
    }
    let good = batch.replicas().unwrap();
    let parameters = good[0].parameters.len();
    let three = [&good[..], &good[..1]].concat();
    for some in [&good[..0], &good[..1], &three] {
        refusals.expect("replicas", 1, &[&format!("{} replicas", some.len()), "2"], batch.restore(some));
    }
    let mut spoilt = |wrong, parts: &[&str], spoil: &dyn Fn(&mut Replica<f32>)| {
        let mut replicas = good.clone();
        spoil(&mut replicas[1]);
        refusals.expect(wrong, 1, parts, batch.restore(&replicas));
    };
    let all = parameters.to_string();
    let (fewer, more) = ((parameters - 1).to_string(), (parameters + 1).to_string());
    spoilt("a parameter too few", &["slot 1", &fewer, &all], &|replica| _ = replica.parameters.pop());
    spoilt("a parameter too many", &["slot 1", &more, &all], &|replica| replica.parameters.push(0.0));
    spoilt("a first moment too few", &["slot 1", &fewer, &all], &|replica| _ = replica.m.pop());
    spoilt("a second moment too many", &["slot 1", &more, &all], &|replica| replica.v.push(0.0));
    spoilt("no mask", &["slot 1", "0 states", &all], &|replica| replica.mask.clear());
    spoilt("a mask too long", &["slot 1", &format!("{more} states")], &|replica| replica.mask.push(1));
    spoilt("an unknown state", &["slot 1", "state 3"], &|replica| replica.mask[48] = 3);
    let sums = ["361 sums", "slot 1 and 0 for slot 0"];
    spoilt("sums of one slot alone", &sums, &|replica| replica.sums = vec![0.5; parameters]);
    spoilt("a sum too few", &["360 sums", "slot 1"], &|replica| replica.sums = vec![0.5; parameters - 1]);
    spoilt("a bias pruned", &["slot 1", "state 0 of parameter 322"], &|replica| replica.mask[322] = 0);
    spoilt("a state far off", &["slot 1", "4294967295"], &|replica| replica.mask[0] = u32::MAX);
}

/// Data sets, samples and points that a batch cannot evaluate.
fn wrong_evaluations(batch: &mut Batch, data: [DataHandle; 4], refusals: &mut Refusals) {
    let [known, foreign, other, many] = data;
    let kept = |weight_count: usize| SweepPoint { slot: 0, kept: vec![true; weight_count].into() };
    let point = [kept(WEIGHT_COUNTS)];
    for (wrong, parts, handle) in [
        ("another engine's data", ["not loaded", "this engine"], foreign),
        ("images of another size", ["5 x 5", "5 x 6"], other),
        ("more classes than logits", ["5 classes", "and 4"], many),
    ] {
        refusals.expect(wrong, 1, &parts, batch.logits(handle, 0..1));
        refusals.expect(wrong, 1, &parts, batch.evaluate(handle, &Watch::nobody()));
        refusals.expect(wrong, 1, &parts, batch.sweep(handle, focus(), &point, &Watch::nobody()));
        refusals.expect(wrong, 1, &parts, batch.sweep(handle, focus(), &[], &Watch::nobody()));
    }
    #[expect(clippy::reversed_empty_ranges, reason = "it is to be refused")]
    let ranges = [0..61, 61..61, 60..61, 9..3, 0..usize::MAX, usize::MAX..usize::MAX];
    for range in ranges {
        refusals.expect("samples", 1, &[&format!("{range:?}"), "60"], batch.logits(known, range));
    }
    for (wrong, slot, weight_count) in [
        ("a slot that is not there", 2, WEIGHT_COUNTS),
        ("a slot far off", usize::MAX, WEIGHT_COUNTS),
        ("a weight too few", 1, WEIGHT_COUNTS - 1),
        ("a weight too many", 1, WEIGHT_COUNTS + 1),
        ("no weights", 1, 0),
    ] {
        let points = [kept(WEIGHT_COUNTS), SweepPoint { slot, ..kept(weight_count) }];
        let parts = [format!("slot {slot}"), format!("{weight_count} weights"), "2 slots".into()];
        let parts = [&*parts[0], &*parts[1], &*parts[2]];
        refusals.expect(wrong, 1, &parts, batch.sweep(known, focus(), &points, &Watch::nobody()));
    }
    let wide = Architecture { classes: 6, ..small_network() };
    let another = ["another network", "377 parameters", "has 361"];
    let selection = Selection::all(&wide);
    refusals.expect("a foreign selection", 1, &another, batch.weights(&selection));
    refusals.expect("a foreign selection", 1, &another, batch.set_weights(&selection, &[]));
    refusals.expect("a foreign selection", 1, &another, batch.sweep(known, &selection, &[], &Watch::nobody()));
    let network = |slot, parameters| Network { slot, parameters: vec![0.5; parameters].into() };
    for (wrong, first, network, parts) in [
        ("no such layer", 4, network(0, 361), ["layer 4", "there are 4"]),
        ("a layer far off", usize::MAX, network(0, 361), ["layer 18446744073709551615", "there are 4"]),
        ("a slot that is not there", 1, network(2, 361), ["slot 2", "2 slots"]),
        ("a parameter too few", 1, network(1, 360), ["360 parameters", "with 361"]),
    ] {
        refusals.expect(wrong, 1, &parts, batch.sweep_networks(known, first, &[network], &Watch::nobody()));
    }
}

/// All refusals of one engine, after which it does what it did before.
fn refusals(mut engine: Engine) -> Vec<(&'static str, String)> {
    let known = engine.load(&data()).unwrap();
    let foreign = cpu().load(&data()).unwrap();
    let mut batch = engine.begin(&setup(known)).unwrap();
    let orders = [order(SAMPLES), order(SAMPLES)];
    batch.train(&steps(&orders, &[0..BATCH, BATCH..SAMPLES - 30]), &Watch::nobody()).unwrap();
    let before = batch.replicas().unwrap();
    let mut refusals = Refusals::default();
    wrong_data(&mut engine, &mut refusals);
    wrong_setups(&mut engine, known, foreign, &mut refusals);
    wrong_histories(&mut engine, &mut refusals);
    wrong_steps(&mut batch, &mut refusals);
    wrong_states(&mut batch, &mut refusals);
    let other = engine.load(&Arc::new(raw(SAMPLES, 5, 5, 4))).unwrap();
    let many = engine.load(&Arc::new(raw(SAMPLES, 5, 6, 5))).unwrap();
    wrong_evaluations(&mut batch, [known, foreign, other, many], &mut refusals);
    assert!(batch.replicas().unwrap() == before, "what was refused changed a replica");
    batch.train(&steps(&orders, std::slice::from_ref(&(0..BATCH))), &Watch::nobody()).unwrap();
    refusals.0
}

#[test]
fn every_wrong_argument_is_refused_in_the_same_words_by_both_engines() {
    let [cpu, gpu] = engines().map(refusals);
    assert_eq!(cpu, gpu);
}

#[test]
fn no_threads_are_refused() {
    assert_eq!(Engine::cpu(Some(0)).map(|_| ()).unwrap_err().exit_code(), 2);
}

#[test]
fn nothing_to_do_is_no_error_on_either_engine() {
    for mut engine in engines() {
        let shape = |epochs, replicas, weight_count| HistoryShape { epochs, replicas, weight_count };
        for shape in [shape(0, 2, 3), shape(2, 0, 3), shape(2, 2, 0), shape(0, 0, 0)] {
            assert_eq!(engine.rank(shape, &[]).unwrap(), [0u32; 0]);
            let bounds = vec![0.5; 2 * shape.columns()];
            let counts = engine.count(shape, &[], &bounds, &bounds).unwrap();
            assert_eq!(
                (counts.stability, counts.stable_weights),
                (vec![0; 2 * shape.columns()], Vec::new()),
                "{shape:?}"
            );
            assert_eq!(engine.envelope(shape, &[], &[]).unwrap().minimum, [0.0f32; 0]);
        }
        let (one, bounds) = (shape(1, 1, 3), [1.0, 2.0, 3.0]);
        assert_eq!(engine.count(one, &bounds, &[], &[]).unwrap().stability, [0u32; 0]);
        assert_eq!(engine.count(one, &bounds, &bounds, &bounds).unwrap().stability, [1, 1, 1]);
        let data = engine.load(&data()).unwrap();
        // A batch may be as large as it likes: there are 60 samples.
        let mut batch = engine.begin(&Setup { batch: usize::MAX, ..setup(data) }).unwrap();
        let before = batch.replicas().unwrap();
        let orders = [order(SAMPLES), order(0)];
        assert_eq!(batch.train(&steps(&orders, &[]), &Watch::nobody()).unwrap(), []);
        assert_eq!(batch.logits(data, 7..7).unwrap(), [0.0f32; 0]);
        assert_eq!(batch.sweep(data, focus(), &[], &Watch::nobody()).unwrap(), []);
        batch.change_masks(MaskChange::PruneSmallest, &[0, 0]).unwrap();
        assert!(batch.replicas().unwrap() == before);
    }
}

#[test]
fn a_nan_in_a_history_is_last_of_all_and_within_no_bounds_on_both_engines() {
    let shape = HistoryShape { epochs: 5, replicas: 2, weight_count: 40 };
    let mut draws = Sequence::new(4, Stream::Check, 0, 0);
    let mut history: Vec<f32> = (0..shape.len()).map(|_| draws.unit() as f32 - 0.5).collect();
    let columns = shape.columns();
    // Of both signs, in the last epoch and in others; of column 3 all of them.
    for (place, bits) in
        [(0, 0x7fc0_0000), (17, 0xffc0_0000), (200, 0x7fff_ffff), (398, 0xffff_ffff), (321, 0x7fc0_0000)]
    {
        history[place] = f32::from_bits(bits);
    }
    (0..shape.epochs).for_each(|epoch| history[epoch * columns + 3] = f32::NAN);
    let last = &history[history.len() - columns..];
    let bounds = |sign: f32| -> Vec<f32> { last.iter().map(|weight| weight + sign * 0.3 * weight.abs()).collect() };
    let wide = vec![f32::INFINITY; columns];
    let lower = [bounds(-1.0), wide.iter().map(|bound| -bound).collect()].concat();
    let upper = [bounds(1.0), wide].concat();
    let [cpu, gpu] = engines().map(|mut engine| {
        let counts = engine.count(shape, &history, &lower, &upper).unwrap();
        let envelope = engine.envelope(shape, &history, &[1, 5]).unwrap();
        (engine.rank(shape, &history).unwrap(), counts, envelope)
    });
    assert_eq!(cpu.0, gpu.0);
    assert_eq!(cpu.1, gpu.1);
    assert_eq!((cpu.1.stability[3], cpu.1.stability[columns + 3]), (0, 0));
    let has_nan = |column: usize| (0..shape.epochs).any(|epoch| history[epoch * columns + column].is_nan());
    for place in (0..2 * columns).filter(|place| !has_nan(place % columns)) {
        let found =
            [&cpu.2, &gpu.2].map(|found| (found.minimum[place], found.maximum[place], found.smallest_magnitude[place]));
        assert_eq!(found[0], found[1], "column {}", place % columns);
    }
}

/// Draws arguments that are mostly wrong.
struct Hostile(Sequence);

impl Hostile {
    fn below(&mut self, count: usize) -> usize {
        self.0.below(count as u32) as usize
    }

    /// Mostly something near what is right.
    fn size(&mut self, right: usize) -> usize {
        match self.below(8) {
            0 => 0,
            1 => right + 1,
            2 => right.saturating_sub(1),
            3 => 1,
            4 => [usize::MAX, usize::MAX / 2 + 1, 1 << 32, 1 << 31][self.below(4)],
            _ => right,
        }
    }

    /// A length that can be held in memory.
    fn length(&mut self, right: usize) -> usize {
        self.size(right).min(2 * right + 1)
    }

    fn number(&mut self) -> f32 {
        let numbers = [0.0, 0.5, 1.0, -1.0, 1e-40, f32::MAX, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        numbers[self.below(numbers.len())]
    }

    fn numbers(&mut self, right: usize) -> Vec<f32> {
        (0..self.length(right)).map(|_| self.number()).collect()
    }

    fn range(&mut self, right: usize) -> Range<usize> {
        let start = self.below(right + 2);
        if self.below(4) == 0 { self.size(right)..self.size(right) } else { start..start + self.below(BATCH + 2) }
    }

    fn handle(&mut self, handles: &[DataHandle]) -> DataHandle {
        handles[self.below(handles.len())]
    }

    fn history(&mut self) -> (HistoryShape, Vec<f32>) {
        let shape = HistoryShape { epochs: self.size(3), replicas: self.size(2), weight_count: self.size(5) };
        (shape, self.numbers(30))
    }
}

/// Calls one method of a batch, and says whether it did something.
fn call(hostile: &mut Hostile, batch: &mut Batch, own: &Selection, handles: &[DataHandle]) -> bool {
    // Of another network every third time.
    let selection = if hostile.below(3) == 0 { focus() } else { own };
    match hostile.below(10) {
        0 => {
            let indices = |hostile: &mut Hostile| hostile.size(SAMPLES - 1).min(u32::MAX as usize) as u32;
            let orders: Vec<Arc<[u32]>> = (0..hostile.length(2))
                .map(|_| {
                    (0..hostile.length(SAMPLES)).map(|place| if place == 5 { indices(hostile) } else { 9 }).collect()
                })
                .collect();
            let batches: Vec<_> = (0..hostile.below(3)).map(|_| hostile.range(SAMPLES)).collect();
            let first_step = [0, 7, u64::MAX][hostile.below(3)];
            let steps = Steps { first_step, orders: &orders, batches: &batches, decay: hostile.number() };
            batch.train(&steps, &Watch::nobody()).is_ok()
        }
        1 => {
            let update = hostile.0.next_word();
            let changes = [
                MaskChange::PruneSmallest,
                MaskChange::DecaySmallest,
                MaskChange::PruneRandom { update },
                MaskChange::RegrowRandom { update },
            ];
            let weight_count: Vec<u32> = (0..hostile.length(2)).map(|_| hostile.size(WEIGHT_COUNTS) as u32).collect();
            batch.change_masks(changes[hostile.below(4)], &weight_count).is_ok()
        }
        2 => batch.weights(selection).is_ok(),
        3 => batch.set_weights(selection, &hostile.numbers(2 * WEIGHT_COUNTS)).is_ok(),
        4 => {
            let mut replicas = batch.replicas().unwrap();
            let parameters = replicas[0].parameters.len();
            replicas.truncate(hostile.length(2));
            for replica in &mut replicas {
                match hostile.below(5) {
                    0 => replica.parameters = hostile.numbers(parameters),
                    1 => replica.m = hostile.numbers(parameters),
                    2 => replica.v = hostile.numbers(parameters),
                    3 => replica.mask = (0..hostile.length(parameters)).map(|_| hostile.below(3) as u32).collect(),
                    _ => replica.mask[hostile.below(parameters)] = hostile.below(4) as u32,
                }
            }
            batch.restore(&replicas).is_ok()
        }
        5 => batch.logits(hostile.handle(handles), hostile.range(SAMPLES)).is_ok(),
        6 => batch.evaluate(hostile.handle(handles), &Watch::nobody()).is_ok(),
        7 => {
            let point = |hostile: &mut Hostile| SweepPoint {
                slot: hostile.size(1),
                kept: (0..hostile.length(WEIGHT_COUNTS)).map(|weight_index| weight_index % 3 > 0).collect(),
            };
            let points: Vec<_> = (0..hostile.below(4)).map(|_| point(hostile)).collect();
            batch.sweep(hostile.handle(handles), selection, &points, &Watch::nobody()).is_ok()
        }
        8 => {
            let parameters = batch.parameters().unwrap()[0].len();
            let network = |hostile: &mut Hostile| Network {
                slot: hostile.size(1),
                parameters: hostile.numbers(parameters).into(),
            };
            let networks: Vec<_> = (0..hostile.below(3)).map(|_| network(hostile)).collect();
            let first = hostile.size(3);
            batch.sweep_networks(hostile.handle(handles), first, &networks, &Watch::nobody()).is_ok()
        }
        _ => batch.parameters().is_ok(),
    }
}

#[test]
fn whatever_the_cpu_engine_is_asked_it_answers_or_refuses_and_never_panics() {
    let mut hostile = Hostile(Sequence::new(13, Stream::Check, 0, 0));
    let (mut done, mut refused) = (0, 0);
    let mut count = |is_done: bool| *(if is_done { &mut done } else { &mut refused }) += 1;
    for round in 0..40 {
        let convolutions = [Vec::new(), vec![Convolution { filters: 3, pool: round % 4 == 1 }]][round % 2].clone();
        let plain = Architecture { convolutions, ..small_network() };
        let mut engine = cpu();
        let handles = [
            engine.load(&data()).unwrap(),
            engine.load(&Arc::new(raw(1, 5, 6, 2))).unwrap(),
            engine.load(&Arc::new(raw(9, 5, 1, 4))).unwrap(),
            cpu().load(&data()).unwrap(),
        ];
        for _ in 0..40 {
            let mut architecture = plain.clone();
            let sizes = [&mut architecture.image_height, &mut architecture.image_width, &mut architecture.classes];
            for size in sizes.into_iter().chain(&mut architecture.hidden) {
                if hostile.below(6) == 0 {
                    *size = hostile.size(*size);
                }
            }
            let replica_ids: Vec<u32> = (0..hostile.length(2)).map(|_| hostile.0.next_word()).collect();
            // Of a network that has no sizes nothing can be selected.
            let own = architecture.validate().is_ok().then(|| Selection::focus(&architecture));
            let setup = Setup {
                architecture: &architecture,
                training: hostile.handle(&handles),
                batch: hostile.size(BATCH),
                pixel_scale: if hostile.below(3) == 0 { f64::from(hostile.number()) } else { 255.0 },
                seed: 3,
                replica_ids: &replica_ids,
                selection: own.as_ref().unwrap_or(focus()),
            };
            let first_layer = [None, Some(0), Some(hostile.size(3))][hostile.below(3)];
            let sweep = SweepSize { samples: hostile.size(SAMPLES), points: hostile.size(20), first_layer };
            count(engine.footprint(&setup, sweep).is_ok());
            if let Ok(mut batch) = engine.begin(&setup) {
                count(batch.evaluate(handles[0], &Watch::nobody()).is_ok());
            }
            let (shape, history) = hostile.history();
            count(engine.rank(shape, &history).is_ok());
            let (lower, upper) = (hostile.numbers(20), hostile.numbers(20));
            count(engine.count(shape, &history, &lower, &upper).is_ok());
            let windows: Vec<u32> = (0..hostile.below(3)).map(|_| hostile.size(2) as u32).collect();
            count(engine.envelope(shape, &history, &windows).is_ok());
        }
        let own = Selection::focus(&plain);
        let mut batch = engine.begin(&Setup { architecture: &plain, selection: &own, ..setup(handles[0]) }).unwrap();
        (0..100).for_each(|_| count(call(&mut hostile, &mut batch, &own, &handles)));
        assert_eq!(batch.replicas().unwrap().len(), 2);
    }
    assert!(done > 500 && refused > 500, "{done} calls were answered, {refused} refused");
}
