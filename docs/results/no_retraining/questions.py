"""What protocol.md, section 16, asks: one function for each question."""

from . import runs
from .measured import DECAY_EPOCHS, MARGIN, SPARSITIES, least_seconds, percent
from .sections import DECAY_SIZES, LEGEND, SIZES, Section, at_sizes, at_sparsities, largest, table, times, verdict, word

# Images of a training step in every run.
BATCH = 32


def holding_against_magnitude(book):
    section = Section("Does holding beat magnitude?")
    ranked, first, used, solved = (
        "cut, frozen ranked",
        "cut, frozen first",
        "cut, frozen first with holding alone",
        "refit, frozen first with holding alone",
    )
    rows, sizes = [], (2, 4, 6)
    for name, run in book.pairs():
        label = book.label(name)
        kept = book.of.get(runs.FROZEN_KEPT.get(name))
        for kind in (ranked, first, used, solved):
            found = []
            for sparsity in SPARSITIES:
                rule, repair = ("frozen-kept" if kind == ranked else "frozen-first"), ("refit" if kind == solved else "cut")
                ours = run.at("hold", "", "refit", sparsity=sparsity) if kind == solved else run.hold(rule, sparsity=sparsity)
                theirs = run.at("magnitude-frozen-first" if kind == first else "magnitude", "", repair, sparsity=sparsity)
                found.append(section.compare(kind, label, *at_sparsities([sparsity]), ours, theirs))
            for size in sizes:
                ours, theirs = {}, {}
                if kind == ranked and kept:
                    ours, theirs = kept.hold("frozen-kept", size=size), kept.at("magnitude", size=size)
                elif kind == used:
                    ours, theirs = run.hold(size=size), run.at("magnitude", size=size)
                found.append(section.compare(kind, label, times(size), ours, theirs))
            rows.append([label, kind, *found])
    if not rows:
        return section
    section.judge()
    focus, whole = at_sparsities(SPARSITIES), at_sizes(sizes)
    fair = section.of(ranked)
    section.answer = (
        f"{word(fair)}: where frozen weights are ranked like all others on both sides, holding, cut, is {verdict(section.of(ranked, focus))} on the"
        f" focus layer and {verdict(section.of(ranked, whole))} over the whole network."
    )
    section.more = (
        f"With frozen weights first on both sides it is {verdict(section.of(first))} on the focus layer. As holding is used, frozen weights first,"
        f" against plain magnitude, it is {verdict(section.of(used, focus))} on the focus layer and {verdict(section.of(used, whole))} over the whole"
        f" network: that is holding and the frozen weights together. Refit, it is {verdict(section.of(solved))}."
    )
    section.body = table(["pair", "holding less one-shot magnitude", *focus, *whole], rows)
    section.note = LEGEND + (
        " Holding is over the last half of the epochs. Frozen weights, which stood still for the last 20 epochs, are ranked like all others on both sides, go"
        " first on both, or go first with holding alone, as it is used. Focus: that share of the focus layer is zero; sizes: of the whole network, one threshold"
        " for all layers.")
    return section


def holding_surgeon(book):
    section = Section("Does the holding surgeon beat the plain one?")
    rows = []
    for base in ("last", "mean"):
        for name, run in book.pairs():
            label, kind = book.label(name), f"{base} weights"
            places = [(column, {"sparsity": at}) for column, at in zip(at_sparsities(SPARSITIES), SPARSITIES)] + [(times(at), {"size": at}) for at in SIZES]
            found = [section.compare(kind, label, column, run.surgeon(base, **at), run.surgeon(base, False, **at)) for column, at in places]
            if any(each.mean is not None for each in found):
                rows.append([label, kind, *found])
    if not rows:
        return section
    section.judge()
    section.answer = (
        f"On last weights: {word(section.of('last weights')).lower()}, {verdict(section.of('last weights'))}. On mean weights:"
        f" {word(section.of('mean weights')).lower()}, {verdict(section.of('mean weights'))}."
    )
    section.body = table(["pair", "holding less plain", *at_sparsities(SPARSITIES), *at_sizes()], rows)
    return section


def averaging(book):
    section = Section("What does averaging give?")
    rows, kind = [], "mean less last weights"
    for name, run in book.pairs():
        label = book.label(name)
        found = [section.compare(kind, label, "as trained", run.dense("mean"), run.dense())]
        found += [section.compare(kind, label, times(at), run.surgeon("mean", False, size=at), run.surgeon("last", False, size=at)) for at in SIZES]
        rows.append([label, *found])
    if not rows:
        return section
    section.judge()
    trained, pruned = section.of(kind, ["as trained"]), section.of(kind, at_sizes())
    section.answer = (
        f"More accuracy: {word(section.of(kind)).lower()}. As trained, the mean of the last half of the epochs is {verdict(trained)} against the last weights;"
        f" pruned by the plain surgeon, it is {verdict(pruned)}."
    )
    section.body = table(["mean less last weights", "as trained", *at_sizes()], rows)
    return section


def still_better(book):
    section = Section("Up to which size is the pruned network as good as the trained one?")
    rows, kinds = [], {"last": "less the last weights as trained", "mean": "less their mean as trained"}
    limits = {base: {} for base in kinds}
    for base, kind in kinds.items():
        for name, run in book.pairs():
            label = book.label(name)
            found = {at: section.compare(kind, label, times(at), run.surgeon(size=at), run.dense(base)) for at in run.sizes()}
            if found:
                limits[base][label] = [largest(found, lambda each, most=most: each.loses_less(most)) for most in (MARGIN, 3)]
                rows.append([label, kind, *(found.get(at, "–") for at in SIZES), *limits[base][label]])
    if not rows:
        return section
    section.judge()

    def up_to(base):
        return "; ".join(f"{label} {one} ({three})" for label, (one, three) in limits[base].items())

    def ranges():
        """`DNN 6x to 10x; CNN none to 2x`."""
        found = {}
        for name, run in book.pairs():
            if book.label(name) in limits["mean"]:
                one = limits["mean"][book.label(name)][0]
                found.setdefault(run.model.upper(), []).append(0 if one == "none" else float(one[:-1]))
        return "; ".join(f"{model} {times(min(sizes)) if min(sizes) else 'none'}" + (f" to {times(max(sizes))}" if max(sizes) > min(sizes) else "")
                         for model, sizes in found.items())

    last, mean = (section.of(kind, at_sizes()) for kind in kinds.values())
    section.answer = (
        f"{ranges()}: so far the holding surgeon on mean weights loses less than {MARGIN} point, interval and all, against the mean network, which costs"
        f" nothing more. Smaller and better than that: {word(mean).lower()}, {verdict(mean)}."
    )
    section.more = (
        f"By pair, less than {MARGIN} point (3 points) is lost up to: {up_to('mean')}. Against the last weights, which averaging alone betters, up to:"
        f" {up_to('last')}; there it is {verdict(last)}, and what is gained is the gain of averaging."
    )
    section.body = table(["pair", "holding surgeon on mean weights", *at_sizes(), f"loses < {MARGIN} up to", "< 3 up to"], rows)
    section.note = LEGEND + " The last columns are the largest size made up to which the whole interval stays above the loss; sizes between were not made."
    return section


def decay(book):
    section = Section("Does it beat exponential decay of 3 epochs?")
    kinds = {
        "holding magnitude, cut": lambda run, **at: run.hold(**at),
        "plain surgeon, last weights": lambda run, **at: run.surgeon("last", False, **at),
        "holding surgeon, mean weights": lambda run, **at: run.surgeon(**at),
    }
    rows = []
    for name, run in book.pairs():
        for kind, ours in kinds.items():
            label = book.label(name)
            found = [section.compare(kind, label, *at_sparsities([at]), ours(run, sparsity=at), run.decay(sparsity=at)) for at in SPARSITIES]
            found += [section.compare(kind, label, times(at), ours(run, size=at), run.decay(size=at)) for at in DECAY_SIZES]
            if any(each.mean is not None for each in found):
                rows.append([label, kind, *found])
    if not rows:
        return section
    section.judge()
    cut, last, mean = (section.of(kind) for kind in kinds)
    section.answer = (
        f"Plain surgeon on last weights: {word(last).lower()}, {verdict(last)}. Holding surgeon on mean weights: {word(mean).lower()}, {verdict(mean)}."
        f" Holding magnitude, cut: {word(cut).lower()}, {verdict(cut)}."
    )
    few = [run for name, run in book.pairs() if name == "pr-dnn"]
    steps = ""
    if few:
        number = DECAY_EPOCHS * -(-few[0].images // BATCH)
        steps = f": {number} steps on PR, which barely train a network, and the surgeon's lead there says no more than that"
    section.more = f"Decay trains 3 epochs for each size from the same initial weights, on last weights throughout{steps}. At equal time, see below."
    section.body = table(["pair", "ours less decay", *at_sparsities(SPARSITIES), *at_sizes(DECAY_SIZES)], rows)
    return section


def equal_time(book):
    section = Section("Does it beat exponential decay at equal time?")
    base = book.of["mnist-dnn"]
    known = [(words, book.of[name]) for name, words in runs.EQUAL_TIME.items() if book.of[name]]
    seconds = least_seconds(book.same_work())
    if not base or not known or not seconds:
        return section
    rows, own = [], []
    for words, run in known:
        for method, ours in (("holding surgeon, mean weights", base.surgeon),
                             ("plain surgeon, last weights", lambda **at: base.surgeon("last", False, **at))):
            kind = f"{method}, less decay with {words}"
            found = [section.compare(kind, base.title(), times(at), ours(size=at), run.at("decay-batched", "density", size=at)) for at in DECAY_SIZES]
            rows.append([kind, run.decay_epochs, *found])
        own.append(f"{words} is {run.decay_epochs} epochs")
    section.judge()
    told = [f"{kind}: {word(section.of(kind)).lower()}, {verdict(section.of(kind))}" for kind, *_ in rows]
    section.answer = f"{told[0][:1].upper()}{'; '.join(told)[1:]}."
    section.more = (
        f"Training of {base.epochs} epochs takes {seconds[0]:.2f} s for a network, and the surgeon's history, Grams, paths and sizes {seconds[1]:.2f} s more;"
        f" {' and '.join(own)} of decay for a size."
    )
    section.body = table([f"{base.title()}, {base.size_words()}", "epochs of decay", *at_sizes(DECAY_SIZES)], rows)
    section.note = (
        f"All of the time of training and surgeon goes to the one size that is wanted, or a share of it to each of {len(DECAY_SIZES)}, in epochs rounded up."
        " An epoch of decay is charged what an epoch of training takes, which is less than its own, so decay has more than equal time."
        " Seconds are the least of several runs on a machine with other work; all decay networks train side by side. " + LEGEND)
    return section


def cosine(book):
    section = Section("Does it survive cosine decay of the learning rate?")
    known = [(name, other) for name, other in runs.COSINE.items() if book.of[name] and book.of[other]]
    if not known:
        return section
    kinds = (
        "cosine: mean less last weights", "cosine: holding less plain surgeon, last weights", "cosine: holding less plain surgeon, mean weights",
        "cosine: holding less magnitude, cut, frozen first", "constant rate and mean, less cosine and last weights", "constant rate less cosine, both mean",
    )
    rows = []
    for name, other in known:
        label, flat, run = book.label(name), book.of[name], book.of[other]
        trained = {
            kinds[0]: (run.dense("mean"), run.dense()), kinds[4]: (flat.dense("mean"), run.dense()), kinds[5]: (flat.dense("mean"), run.dense("mean")),
        }
        for kind in kinds:
            found = [section.compare(kind, label, "as trained", *trained[kind]) if kind in trained else "–"]
            for place, columns in (({"size": at}, times(at)) for at in SIZES):
                sides = surgeons_of(kinds.index(kind), flat, run, **place)
                found.append(section.compare(kind, label, columns, *sides) if sides else "–")
            for at, column in zip(SPARSITIES, at_sparsities(SPARSITIES)):
                sides = (run.hold(sparsity=at), run.at("magnitude-frozen-first", sparsity=at)) if kind == kinds[3] else surgeons_of(
                    kinds.index(kind), flat, run, sparsity=at)
                found.append(section.compare(kind, label, column, *sides) if sides else "–")
            rows.append([label, kind, *found])
    section.judge()
    told = {kind: section.of(kind) for kind in kinds}
    section.answer = (
        f"Averaging: {word(told[kinds[0]]).lower()}, under cosine decay mean weights, against last ones, are {verdict(told[kinds[0]])}. Holding surgeon,"
        f" against the plain one, on last weights: {word(told[kinds[1]]).lower()}, {verdict(told[kinds[1]])}; on mean weights: {word(told[kinds[2]]).lower()},"
        f" {verdict(told[kinds[2]])}. Holding magnitude, against one-shot: {word(told[kinds[3]]).lower()}, {verdict(told[kinds[3]])}."
    )
    section.more = (
        f"A constant rate with mean weights, against cosine with last ones, is {verdict(told[kinds[4]])}; with mean weights on both sides,"
        f" {verdict(told[kinds[5]])}."
    )
    section.body = table(["pair", "less", "as trained", *at_sizes(), *at_sparsities(SPARSITIES)], rows)
    section.note = LEGEND + " Where no surgeon is named, both sides are the plain one's."
    return section


def surgeons_of(kind, flat, run, **place):
    """Both sides of the kinds of comparison that are between surgeons."""
    return {
        0: (run.surgeon("mean", False, **place), run.surgeon("last", False, **place)),
        1: (run.surgeon("last", True, **place), run.surgeon("last", False, **place)),
        2: (run.surgeon("mean", True, **place), run.surgeon("mean", False, **place)),
        4: (flat.surgeon("mean", False, **place), run.surgeon("last", False, **place)),
        5: (flat.surgeon("mean", False, **place), run.surgeon("mean", False, **place)),
    }.get(kind)


def pairs_table(book):
    rows = [[book.label(name), run.size_words(), percent(run.dense()), percent(run.dense("mean"))] for name, run in book.pairs()]
    return table(["pair", "training", "last weights", "mean weights"], rows)
