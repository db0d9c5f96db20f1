"""Runs of one pair in which one setting was turned, and networks that are made really smaller."""

from . import runs
from .measured import MARGIN, mean, percent
from .sections import LEGEND, SIZES, Section, at_sizes, largest, signed, span, table, times, word

KIND = "holding surgeon on mean weights"


def turned(book, title, label, settings, usual):
    """A table of settings less the usual one, which is printed itself; and by setting the differences by size."""
    section, base = Section(title), book.of["mnist-dnn"]
    known = [(words, name and book.of[name]) for words, name in settings if name is None or book.of[name]]
    if not base or len(known) < 2:
        return section, {}
    rows, by, absent = [], {}, [words for words, name in settings if name and not book.of[name]]
    for words, run in known:
        if run is None:
            rows.append([f"{words} (accuracy, %)", *(percent(base.surgeon(size=size)) for size in SIZES)])
            continue
        by[words] = {size: section.compare(KIND, words, times(size), run.surgeon(size=size), base.surgeon(size=size)) for size in SIZES}
        rows.append([words, *by[words].values()])
    section.judge()
    section.body = table([label, *at_sizes()], rows)
    section.note = f"{base.title()}, {base.size_words()}, holding surgeon on mean weights, less {usual}. {LEGEND}"
    if absent:
        section.note += f" Not run: {', '.join(absent)}."
    return section, by


def words_of(by):
    """`64: alike up to 2x, −13.92 to −0.10 points; …`."""
    found = []
    for words, each in by.items():
        limit = largest(each, lambda one: one.is_alike())
        alike = "alike at all sizes" if limit == times(SIZES[-1]) else f"alike up to {limit}" if limit != "none" else "alike at no size"
        found.append(f"{words}: {alike}, {span([one.mean for one in each.values() if one.mean is not None])}")
    return "; ".join(found)


def enough(each):
    """Whether a setting loses less than the margin at all sizes."""
    return all(one.loses_less() for one in each.values() if one.mean is not None)


def calibration(book):
    settings = [(f"{images:,}", None if images == 4096 else f"calibration-{images}") for images in runs.CALIBRATION]
    section, by = turned(book, "How many calibration images are enough?", "images", settings, "4,096 images")
    if by:
        fewest = min([int(words.replace(",", "")) for words, each in by.items() if enough(each)] + [4096])
        section.answer = f"{fewest:,}: the fewest images that are as good as 4,096 at every size, interval and all (margin {MARGIN} point)."
        section.more = f"Against 4,096: {words_of(by)}."
    return section


def differs(by, what):
    """Whether a setting matters, and where, in a sentence."""
    at = {size: [each[size] for each in by.values() if each[size].mean is not None] for size in SIZES}
    apart = [times(size) for size, found in at.items() if any(one.holm for one in found)]
    unlike = [times(size) for size, found in at.items() if not all(one.is_alike() for one in found)]
    if not unlike:
        small = f", though told apart at {' and '.join(apart)}" if apart else ""
        return f"No: {what} makes no difference of {MARGIN} point at any size{small}."
    if apart:
        where = f"at {' and '.join(apart)}" + (" alone" if len(apart) == 1 else "")
        return f"Yes, {where}: there {what} is told apart; alike at all sizes but {' and '.join(unlike)}."
    return f"Undecided at {' and '.join(unlike)}, alike elsewhere: {what}."


def rows_weighted(book):
    section, by = turned(book, "Rows weighted or not?", "weight of a row that the ReLU stops", [("0.1", None), ("1 (all alike)", "all-rows-alike")], "0.1")
    if by:
        section.answer = differs(by, "counting all rows alike")
        section.more = f"Against rows that count a tenth where the ReLU stops them: {words_of(by)}."
    return section


def ridge(book):
    settings = [(value, None if value == "1e-3" else f"ridge-{value}") for value in runs.RIDGES]
    section, by = turned(book, "How sensitive is it to the ridge?", "ridge", settings, "1e-3")
    if by:
        section.answer = differs(by, "a ridge ten times smaller or larger")
        section.more = f"Against 1e-3: {words_of(by)}."
    return section


def stages(book):
    section, base = Section("Stages or one path?"), book.of["mnist-dnn"]
    known = [(size, book.of[f"one-path-{size}"]) for size in runs.ONE_PATH if book.of[f"one-path-{size}"]]
    if not base or not known:
        return section
    found = {size: section.compare(KIND, base.title(), times(size), base.surgeon(size=size), run.surgeon(size=size)) for size, run in known}
    section.judge()
    level = "No difference" if all(each.is_alike() for each in found.values()) else "No"
    replies = {"Yes": "Stages are better", "In part": "Stages are better in part", "No": level}
    reply = word(list(found.values()))
    told = "; ".join(f"{signed(each.mean)} ± {each.half:.2f} at {times(size)}" for size, each in found.items() if each.half is not None)
    section.answer = f"{replies.get(reply, reply)}: stages less one path straight to the size are, in points, {told}."
    section.body = table(["", *at_sizes(found)], [
        ["in stages (accuracy, %)", *(percent(base.surgeon(size=size)) for size in found)],
        ["one path (accuracy, %)", *(percent(run.surgeon(size=size)) for size, run in known)],
        ["difference", *found.values()]])
    section.note = f"{base.title()}, {base.size_words()}, holding surgeon on mean weights. {LEGEND}"
    return section


def windows(book):
    settings = [(f"{window} of 30", None if window == 15 else f"mean-of-{window}") for window in runs.WINDOWS]
    section, by = turned(book, "Averaged over which window?", "last epochs", settings, "half of the epochs")
    if not by:
        return section
    base, trained = book.of["mnist-dnn"], {}
    for words, name in settings:
        if words in by:
            trained[words] = section.compare("mean weights as trained", words, "as trained", book.of[name].dense("mean"), base.dense("mean"))
    section.judge()
    rows = [[words, trained[words], *by[words].values()] if words in by else
            [f"{words} (accuracy, %)", percent(base.dense("mean")), *(percent(base.surgeon(size=size)) for size in SIZES)]
            for words, name in settings if words in by or name is None]
    section.body = table(["last epochs", "as trained", *at_sizes()], rows)
    section.answer = differs(by, "the window")
    section.more = (
        f"Against the mean of the last half of the epochs: {words_of(by)}. As trained: "
        + "; ".join(f"{words} {signed(each.mean)} ± {each.half:.2f}" for words, each in trained.items() if each.half is not None) + "."
    )
    return section


def whole_inputs(book):
    section = Section("Whole units, filters and inputs")
    rows, told = [], []
    for name in runs.REDUCED:
        run, label = book.of[name], book.of[name] and book.of[name].title()
        losses = []
        for faster in runs.FASTER:
            found = {replica: book.made[key] for replica in runs.REDUCED[name] if run and (key := f"{name}-{faster}x-{replica}") in book.made}
            if not found:
                continue
            before, after = ({replica: one["accuracy"][side] for replica, one in found.items()} for side in (0, 1))
            change = section.compare("reduced less mean weights as trained", label, f"{faster}x wanted", after, before)
            reached, weights = (mean(one[what][0] / one[what][1] for one in found.values()) for what in ("multiply_adds", "weights"))
            parts = {kind: mean(one["gone"].get(kind, 0) for one in found.values()) for kind in ("pixels", "filters", "units", "filters or units")}
            removed = ", ".join(f"{number:.1f} {kind}" for kind, number in parts.items() if number)
            rows.append([f"{label} (n = {len(found)})", f"{reached:.2f}x", f"{weights:.2f}x", removed, percent(before), percent(after), change])
            losses.append((reached, change))
        if losses:
            limit = [reached for reached, change in losses if change.loses_less()]
            told.append(f"{label} loses less than {MARGIN} point, interval and all, " + (f"up to {max(limit):.2f}x" if limit else "at none that was made"))
    if not rows:
        return section
    section.judge()
    section.answer = f"By fewer multiply-adds, dense networks again: {'; '.join(told)}."
    cells = dict(zip((row[0].split(" (")[0] for row in rows), rows))
    section.more = "Taken out of a network, on average: " + "; ".join(f"{label} at {row[1]}, {row[3]}" for label, row in cells.items()) + "."
    section.body = table(["mean weights", "multiply-adds fewer", "weights fewer", "taken out of a network", "before", "after", "difference"], rows)
    section.note = LEGEND + " `holdfast compact RUN --base mean --faster N`; accuracies are in %, with the standard deviation over networks."
    return section
