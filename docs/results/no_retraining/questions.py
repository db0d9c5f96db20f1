"""One function for each question of the page: its heading, the sentence that answers it, and the table."""

import json

from . import runs
from .measured import DECAY_EPOCHS, SPARSITIES, Difference, holm, mean, percent, tally, times

SIZES = (2, 4, 6, 8, 10, 15)
MISSING = "This has not been run: `docs/results/update-no-retraining` makes it."
LEGEND = (
    "Differences are in points of test accuracy, paired by replica, with the 95 % interval of Student's t; bold ones are told apart"
    " from 0 after Holm's correction over the whole table."
)


def table(header, rows):
    if not rows:
        return ["Not measured yet."]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]


def section(title, sentence, body, note=LEGEND):
    lines = [f"## {title}", f"**{sentence}**", "", *body, "", *([note, ""] if note and body else [])]
    return [line for place, line in enumerate(lines) if line or place == 0 or lines[place - 1]]


def missing(title):
    return [f"## {title}", MISSING, ""]


def verdict(differences, better="better", worse="worse"):
    """`better in 3 of 12 comparisons, worse in 1, and in 8 the two cannot be told apart`."""
    above, below, neither = tally(differences)
    count = above + below + neither
    if count == 0:
        return "not measured yet"
    return f"{better} in {above} of {count} comparisons, {worse} in {below}, and in {neither} the two cannot be told apart"


def among(word, differences):
    """`; where it is told apart, by +0.1 to +0.4 points`."""
    known = [each.mean for each in differences if each.holm]
    if not known:
        return ""
    if len(known) == 1:
        return f"; {word} by {known[0]:+.2f} points".replace("-", "−")
    return f"; {word} by {min(known):+.2f} to {max(known):+.2f} points".replace("-", "−")


class Book:
    """All runs that there are."""

    def __init__(self, open_run, folder):
        self.folder = folder
        self.of = {name: open_run(folder / f"{name}.zip") for name, _ in runs.comparisons()}

    def pairs(self):
        return [(name, self.of[name]) for name in runs.PAIRS if self.of[name]]

    def label(self, name):
        run = self.of[name]
        alike = [other for _, other in self.pairs() if other.title() == run.title()]
        return f"{run.title()}, {run.epochs} epochs" if len(alike) > 1 else run.title()


def by_points(book, points, make):
    """A row for each pair with a difference for each point; and all differences."""
    rows, everything = [], []
    for name, run in book.pairs():
        found = [make(run, point) for point in points]
        if any(each.mean is not None for each in found):
            everything += [each for each in found if each.mean is not None]
            rows.append((f"{book.label(name)} (n = {run.replicas})", found))
    holm(everything)
    return rows, everything


def spelled(rows):
    return [[label, *found] for label, found in rows]


def focus_header():
    return ["focus layer", *(f"{100 * sparsity:.0f} % zero" for sparsity in SPARSITIES)]


def size_header(word="whole network"):
    return [word, *times_of(SIZES)]


def times_of(sizes):
    return [f"{times(size)} smaller" for size in sizes]


def pairs_table(book):
    def row(name, run):
        return [book.label(name), run.size_words(), percent(run.dense()), percent(run.dense("mean"))]

    rows = [row(name, run) for name, run in book.pairs()]
    return table(["pair", "training", "last weights", "mean weights"], rows)


def accuracies(book):
    """Accuracy of every method by size, and at 90 % of the focus layer."""
    title = "Accuracy by size and by sparsity"
    if not book.pairs():
        return missing(title)
    methods = (
        ("magnitude", "magnitude", "", "cut"),
        ("holding magnitude", "hold", "frozen-first", "cut"),
        ("Wanda", "wanda", "", "cut"),
        ("random, refit", "random", "", "refit"),
        ("magnitude, refit", "magnitude", "", "refit"),
        ("surgeon, last weights", "surgeon", "last", "refit"),
        ("holding surgeon, last weights", "hold-surgeon", "last", "refit"),
        ("surgeon, mean weights", "surgeon", "mean", "refit"),
        ("holding surgeon, mean weights", "hold-surgeon", "mean", "refit"),
        ("exponential decay, 3 epochs each", "decay-batched", "density", "cut"),
    )
    body, best = [], []
    for name, run in book.pairs():
        rows, at_4 = [], {}
        for words, method, rule, repair in methods:
            if method == "decay-batched" and run.decay_epochs != DECAY_EPOCHS:
                continue
            sizes = [run.at(method, rule, repair, size=size) for size in SIZES]
            focus = [run.at(method, rule, repair, sparsity=sparsity, window=None if method != "hold" else run.half_window())
                     for sparsity in (0.9, 0.95)]
            if any(sizes) or any(focus):
                rows.append([words, *map(percent, sizes), *map(percent, focus)])
            if sizes[1]:
                at_4[words] = mean(sizes[1])
        if at_4:
            best.append(max(at_4, key=at_4.get))
        rows.insert(0, ["as trained: last · mean", f"{percent(run.dense())} · {percent(run.dense('mean'))}", *[""] * 7])
        header = [f"{book.label(name)}", *times_of(SIZES), "focus 90 %", "focus 95 %"]
        body += [f"{book.label(name)}: {run.size_words()}.", "", *table(header, rows), ""]
    surgeons = sum("surgeon" in words for words in best)
    sentence = f"At 4x smaller the most accurate row is a surgeon's on {surgeons} of {len(best)} pairs."
    note = "Test accuracy in %, mean ± standard deviation over replicas; every size of a surgeon comes from one path, without labels and without a training step."
    return section(title, sentence, body, note)


def holding_against_magnitude(book):
    title = "Does holding beat magnitude?"
    if not book.pairs():
        return missing(title)

    def cut(run, sparsity):
        hold = run.at("hold", "frozen-first", sparsity=sparsity, window=run.half_window())
        return Difference(hold, run.at("magnitude", "", sparsity=sparsity))

    def frozen(run, sparsity):
        hold = run.at("hold", "frozen-first", sparsity=sparsity, window=run.half_window())
        return Difference(hold, run.at("magnitude-frozen-first", "", sparsity=sparsity))

    def refit(run, sparsity):
        return Difference(run.at("hold", "", "refit", sparsity=sparsity), run.at("magnitude", "", "refit", sparsity=sparsity))

    def whole(run, size):
        return Difference(run.at("hold", "frozen-first", size=size), run.at("magnitude", "", size=size))

    plain, plains = by_points(book, SPARSITIES, cut)
    fair, fairs = by_points(book, SPARSITIES, frozen)
    solved, solveds = by_points(book, SPARSITIES, refit)
    wholes, alls = by_points(book, (2, 4, 6), whole)
    sentence = (
        f"Cut and nothing else, on the focus layer holding is {verdict(plains)}{among('told apart', plains)}; against one-shot with frozen"
        f" weights first, as holding has them, it is {verdict(fairs)}{among('told apart', fairs)}; solved anew (refit) it is"
        f" {verdict(solveds)}{among('told apart', solveds)}; over the whole network, cut, it is {verdict(alls)}."
    )
    body = [
        "Holding magnitude over the last half of the epochs, frozen weights first, less one-shot magnitude, cut:", "",
        *table(focus_header(), spelled(plain)), "", "The same less one-shot magnitude with frozen weights first, so that only the order of the others differs:", "",
        *table(focus_header(), spelled(fair)), "", "Holding less magnitude, what stays solved anew:", "",
        *table(focus_header(), spelled(solved)), "", "Whole network, cut, one threshold for all layers:", "",
        *table(["whole network", *times_of((2, 4, 6))], spelled(wholes)),
    ]
    note = LEGEND + " With refit, too, holding puts frozen weights first and magnitude does not."
    return section(title, sentence, body, note)


def holding_surgeon(book):
    title = "Does the holding surgeon beat the plain one?"
    if not book.pairs():
        return missing(title)
    body, words = [], []
    for base in ("last", "mean"):
        focus, at_focus = by_points(
            book, SPARSITIES,
            lambda run, at, base=base: Difference(run.at("hold-surgeon", base, "refit", sparsity=at), run.at("surgeon", base, "refit", sparsity=at)))
        whole, at_whole = by_points(
            book, SIZES,
            lambda run, at, base=base: Difference(run.at("hold-surgeon", base, "refit", size=at), run.at("surgeon", base, "refit", size=at)))
        everything = at_focus + at_whole
        words.append(f"on {base} weights holding is {verdict(everything)}{among('told apart', everything)}")
        body += [f"Holding surgeon less plain surgeon, {base} weights:", "", *table(focus_header(), spelled(focus)), "",
                 *table(size_header(), spelled(whole)), ""]
    return section(title, f"O{'; '.join(words)[1:]}.", body)


def averaging(book):
    title = "What does averaging give?"
    if not book.pairs():
        return missing(title)
    rows, dense, pruned = [], [], []
    for name, run in book.pairs():
        base = Difference(run.dense("mean"), run.dense())
        sizes = [Difference(run.at("surgeon", "mean", "refit", size=size), run.at("surgeon", "last", "refit", size=size)) for size in SIZES]
        dense.append(base)
        pruned += [each for each in sizes if each.mean is not None]
        rows.append([f"{book.label(name)} (n = {run.replicas})", base, *sizes])
    holm(dense + pruned)
    sentence = (
        f"The mean of the last half of the epochs, as trained, is {verdict(dense)}{among('told apart', dense)}; pruned by the plain surgeon"
        f" it is {verdict(pruned)}{among('told apart', pruned)}."
    )
    return section(title, sentence, ["Mean weights less last weights:", "", *table(["", "as trained", *times_of(SIZES)], rows)])


def still_better(book):
    title = "Up to which size is the pruned network better than the trained one?"
    if not book.pairs():
        return missing(title)
    rows, everything, better, not_worse, losses = [], [], [], [], []
    for name, run in book.pairs():
        best = [Difference(run.at("hold-surgeon", "mean", "refit", size=size), run.dense()) for size in SIZES]
        everything += [each for each in best if each.mean is not None]
        rows.append((name, run, best))
    holm(everything)
    cells = []
    for name, run, found in rows:
        up_to = [size for size, each in zip(SIZES, found) if each.mean is not None and each.holm and each.mean > 0]
        # As long as no smaller network loses for certain.
        losing = [size for size, each in zip(SIZES, found) if each.holm and each.mean < 0]
        level = [size for size, each in zip(SIZES, found) if each.mean is not None and (not losing or size < min(losing))]
        lost = {limit: largest_losing(found, limit) for limit in (1, 3)}
        better.append(f"{book.label(name)} {times(max(up_to)) if up_to else 'none'}")
        not_worse.append(f"{book.label(name)} {times(max(level)) if level else 'none'}")
        losses.append((book.label(name), lost))
        cells.append([f"{book.label(name)} (n = {run.replicas})", *found, lost[1], lost[3]])
    sentence = (
        f"Against the last weights as trained, the holding surgeon on mean weights is told apart as better up to: {'; '.join(better)}; and not"
        f" told apart as worse up to: {'; '.join(not_worse)}."
    )
    header = ["pruned less trained", *times_of(SIZES), "loses < 1 point up to", "< 3 points up to"]
    note = LEGEND + " The last two columns are the largest size tried up to which the mean loss stays below; of sizes between nothing is known."
    return section(title, sentence, table(header, cells), note)


def largest_losing(found, limit):
    """The largest size up to which the mean loss stays below `limit` points."""
    size = None
    for at, each in zip(SIZES, found):
        if each.mean is None:
            continue
        if each.mean <= -limit:
            break
        size = at
    return times(size) if size else "none"


def decay(book):
    title = "Does it beat exponential decay?"
    if not book.pairs():
        return missing(title)
    rows, everything = by_points(
        book, (2, 4, 6, 8, 10),
        lambda run, at: Difference(run.at("hold-surgeon", "mean", "refit", size=at), run.decay(size=at)))
    focus, at_focus = by_points(
        book, SPARSITIES,
        lambda run, at: Difference(run.at("hold-surgeon", "mean", "refit", sparsity=at), run.decay(sparsity=at)))
    sentence = (
        f"Against decay of 3 epochs for each size the holding surgeon on mean weights is, over the whole network, {verdict(everything)}"
        f"{among('told apart', everything)}; on the focus layer it is {verdict(at_focus)}{among('told apart', at_focus)}."
    )
    body = ["Holding surgeon on mean weights less exponential decay of 3 epochs for each size, trained from the same initial weights:", "",
            *table(["whole network", *times_of((2, 4, 6, 8, 10))], spelled(rows)), "", *table(focus_header(), spelled(focus)), ""]
    base = book.of["mnist-dnn"]
    timed, words = [], []
    for epochs, name in runs.EQUAL_TIME.items():
        run = book.of[name]
        if base and run:
            found = [Difference(base.at("hold-surgeon", "mean", "refit", size=size), run.at("decay-batched", "density", size=size))
                     for size in (2, 4, 6, 8, 10)]
            timed.append((epochs, found))
    holm([each for _, found in timed for each in found])
    for epochs, found in timed:
        above = sum(each.holm and each.mean > 0 for each in found)
        below = sum(each.holm and each.mean < 0 for each in found)
        words.append(f"{epochs} epochs of decay for each size: the surgeon is better at {above} of {len(found)} sizes and worse at {below}")
    body += ["### At equal time", ""]
    if timed:
        body += [f"**{'; '.join(words)}.**", "",
                 f"{base.title()}, {base.size_words()}: one training of {base.epochs} epochs gives the surgeon all five sizes; decay may train"
                 f" {base.epochs // 5} epochs for each of five, or all {base.epochs} for the one size that is wanted. Surgeon less decay:", "",
                 *table(["epochs of decay for each size", *times_of((2, 4, 6, 8, 10))], [[epochs, *found] for epochs, found in timed])]
    else:
        body += [MISSING]
    return section(title, sentence, body)


def cosine(book):
    title = "Does it survive cosine decay of the learning rate?"
    known = [(name, other) for name, other in runs.COSINE.items() if book.of[name] and book.of[other]]
    if not known:
        return missing(title)
    rows, averages, holds, constants = [], [], [], []
    for name, other in known:
        constant, cosine_run = book.of[name], book.of[other]
        average = [Difference(cosine_run.dense("mean"), cosine_run.dense())]
        average += [Difference(cosine_run.at("surgeon", "mean", "refit", size=size), cosine_run.at("surgeon", "last", "refit", size=size)) for size in SIZES]
        hold = [Difference(cosine_run.at("hold-surgeon", "last", "refit", size=size), cosine_run.at("surgeon", "last", "refit", size=size)) for size in SIZES]
        against = [Difference(constant.dense("mean"), cosine_run.dense())]
        against += [Difference(constant.at("surgeon", "mean", "refit", size=size), cosine_run.at("surgeon", "last", "refit", size=size)) for size in SIZES]
        against_mean = [Difference(constant.dense("mean"), cosine_run.dense("mean"))]
        averages += average
        holds += hold
        constants += against
        label = book.label(name)
        rows += [[f"{label}, cosine: mean less last", *average],
                 [f"{label}, cosine: holding less plain, last", "", *hold],
                 [f"{label}: constant rate and mean, less cosine and last", *against],
                 [f"{label}: the same, both mean", *against_mean, *[Difference(
                     constant.at("hold-surgeon", "mean", "refit", size=size), cosine_run.at("hold-surgeon", "mean", "refit", size=size)) for size in SIZES]]]
    everything = [each for row in rows for each in row if isinstance(each, Difference) and each.mean is not None]
    holm(everything)
    words = [verdict(averages), verdict(holds), verdict(constants)]
    told = among("told apart", averages)
    sentence = (
        f"Under cosine decay mean weights are, against last ones, {words[0]}{told}; the holding surgeon, against the plain one on last"
        f" weights, is {words[1]}; a constant rate with mean weights, against cosine with last ones, is {words[2]}."
    )
    return section(title, sentence, table(["", "as trained", *times_of(SIZES)], rows))


def turned(book, title, label, settings, usual, sentence):
    """A table of runs in which one setting was turned, and which of them cannot be told from the usual one."""
    base = book.of["mnist-dnn"]
    known = [(words, book.of[name]) for words, name in settings if name and book.of[name]]
    if not base or not known:
        return missing(title)
    usual_at = {size: base.at("hold-surgeon", "mean", "refit", size=size) for size in SIZES}
    rows, everything, per = [], [], {}
    for words, name in settings:
        run = base if name is None else book.of[name]
        if run is None:
            rows.append([words, *["not run"] * len(SIZES)])
            continue
        found = []
        for size in SIZES:
            own = run.at("hold-surgeon", "mean", "refit", size=size)
            found.append((own, Difference(own, usual_at[size]) if name else None))
        everything += [each for _, each in found if each and each.mean is not None]
        per[words] = [each for _, each in found if each and each.mean is not None]
        rows.append([words, found])
    holm(everything)
    cells = []
    for words, *rest in rows:
        if isinstance(rest[0], list):
            rest = [percent(own) if each is None else ("–" if not own else f"{percent(own)} ({each})") for own, each in rest[0]]
        cells.append([words, *rest])
    note = f"{base.title()}, {base.size_words()}, holding surgeon on mean weights; in brackets the difference from {usual}. " + LEGEND
    return section(title, sentence(per), table([label, *times_of(SIZES)], cells), note)


def words_of(per):
    """`64: −1.2 to −0.3 points, told apart at 5 of 6 sizes` for each setting."""
    found = []
    for words, each in per.items():
        if each:
            low, high = min(one.mean for one in each), max(one.mean for one in each)
            apart = sum(one.holm for one in each)
            span = (f"{low:+.2f} to {high:+.2f}" if len(each) > 1 else f"{low:+.2f}").replace("-", "−")
            found.append(f"{words}: {span} points, told apart at {apart} of {len(each)} sizes")
    return "; ".join(found)


def calibration(book):
    settings = [(f"{images:,}", None if images == 4096 else f"calibration-{images}") for images in runs.CALIBRATION]

    def sentence(per):
        enough = [int(words.replace(",", "")) for words, each in per.items() if each and not any(one.holm and one.mean < 0 for one in each)]
        fewest = min([*enough, 4096])
        return f"The fewest images that cannot be told from 4,096 as worse at any size: {fewest:,} ({words_of(per)})."

    return turned(book, "How many calibration images are enough?", "images", settings, "4,096 images", sentence)


def rows_weighted(book):
    return turned(book, "Rows weighted or not?", "weight of a row that the ReLU stops", [("0.1", None), ("1 (all alike)", "all-rows-alike")],
                  "0.1", lambda per: f"All rows alike, against rows that the ReLU stops counting a tenth: {words_of(per)}.")


def stages(book):
    title = "Stages or one path?"
    base = book.of["mnist-dnn"]
    known = [(size, book.of[f"one-path-{size}"]) for size in runs.ONE_PATH if book.of[f"one-path-{size}"]]
    if not base or not known:
        return missing(title)
    found = [(size, run, Difference(base.at("hold-surgeon", "mean", "refit", size=size), run.at("hold-surgeon", "mean", "refit", size=size)))
             for size, run in known]
    holm([each for _, _, each in found])
    words = "; ".join(f"at {times(size)} {each.mean:+.2f} ± {each.half:.2f} points".replace("-", "−") for size, _, each in found if each.half is not None)
    rows = [[f"{times(size)} smaller", percent(base.at("hold-surgeon", "mean", "refit", size=size)),
             percent(run.at("hold-surgeon", "mean", "refit", size=size)), each] for size, run, each in found]
    return section(title, f"Stages less one path straight to the size: {words}.",
                   table(["", "in stages", "one path", "difference"], rows), f"{base.title()}, {base.size_words()}. {LEGEND}")


def ridge(book):
    settings = [(value, None if value == "1e-3" else f"ridge-{value}") for value in runs.RIDGES]
    return turned(book, "How sensitive is it to the ridge?", "ridge", settings, "1e-3", lambda per: f"Against a ridge of 1e-3: {words_of(per)}.")


def windows(book):
    settings = [(f"{window} of 30", None if window == 15 else f"mean-of-{window}") for window in runs.WINDOWS]
    return turned(book, "Averaged over which window?", "last epochs", settings, "half of the epochs",
                  lambda per: f"Against the mean of the last half of the epochs: {words_of(per)}.")


def whole_inputs(book):
    title = "Whole units, filters and inputs"
    rows, words = [], []
    for name in runs.REDUCED:
        run = book.of[name]
        for faster in runs.FASTER:
            found, left = [], []
            for replica in runs.REDUCED_REPLICAS:
                path = book.folder / "reduced" / f"{name}-{faster}x-{replica}.json"
                if run and path.is_file():
                    told = json.loads(path.read_text())
                    before, after = told["accuracy"]
                    total = told["layers"][-1]
                    left.append(total["multiply_adds_before"] / total["multiply_adds_after"])
                    found.append((replica, before, after, total["weights_before"] / total["weights_after"]))
            if found:
                change = Difference({each[0]: each[2] for each in found}, {each[0]: each[1] for each in found})
                rows.append([f"{run.title()} (n = {len(found)})", f"{sum(left) / len(left):.2f}x", f"{sum(each[3] for each in found) / len(found):.2f}x",
                             percent([each[1] for each in found]), percent([each[2] for each in found]), change])
                words.append(f"{run.title()} {change.mean:+.1f} points at {faster}x".replace("-", "−"))
    if not rows:
        return missing(title)
    return section(title, f"By fewer multiply-adds, dense networks again: {'; '.join(words)}.",
                   table(["mean weights", "multiply-adds fewer", "weights fewer", "before", "after", "difference"], rows),
                   "Intervals as above, over so few replicas wide. `holdfast compact RUN --base mean --faster N`.")
