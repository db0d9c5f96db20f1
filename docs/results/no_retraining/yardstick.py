"""The public yardstick, and what a second seed says."""

import csv

from . import runs
from .measured import percent
from .questions import missing, section, table

SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)
# The published rows are of one checkpoint, whose name says this accuracy in per cent.
PUBLISHED_DENSE = 93.97
WORDS = (
    ("magnitude, cut", "magnitude", "", "cut"),
    ("holding surgeon, mean weights", "hold-surgeon", "mean", "refit"),
    ("the same, each cut polished twice", "hold-surgeon", "mean polished", "refit"),
)


def public(book, here):
    title = "The public yardstick: MLP 784-40-20-10 without biases"
    run = book.of[runs.YARDSTICK]
    if not run:
        return missing(title)
    with open(here / "no_retraining" / "published.csv", newline="") as file:
        published = list(csv.DictReader(file))
    rows = [["as trained: last · mean", f"{percent(run.dense())} · {percent(run.dense('mean'))}", *[""] * (len(SPARSITIES) - 1), "here"]]
    best = {}
    for words, method, rule, repair in WORDS:
        found = [run.at(method, rule, repair, size=1 / (1 - sparsity)) for sparsity in SPARSITIES]
        if any(found):
            rows.append([words, *map(percent, found), f"here, n = {run.replicas}"])
            best[words] = dict(zip(SPARSITIES, found))
    for method in dict.fromkeys(row["method"] for row in published):
        own = {float(row["sparsity"]): row["accuracy"] for row in published if row["method"] == method}
        source = next(row["source"] for row in published if row["method"] == method)
        rows.append([method, *(own.get(sparsity, "–") for sparsity in SPARSITIES), f"published: {source}"])
    theirs = {sparsity: max((float(row["accuracy"]) for row in published if float(row["sparsity"]) == sparsity), default=None) for sparsity in SPARSITIES}
    words = []
    averaged = run.dense("mean")
    dense = 100 * sum(averaged.values()) / len(averaged)
    for sparsity in SPARSITIES[2:]:
        ours = [(100 * sum(found[sparsity].values()) / len(found[sparsity]), name) for name, found in best.items() if found.get(sparsity)]
        if ours and theirs[sparsity]:
            most, name = max(ours)
            words.append(f"{100 * sparsity:.0f} %: {most - dense:+.1f} ({name}) beside {theirs[sparsity] - PUBLISHED_DENSE:+.1f}")
    files = sorted({row["file"] for row in published})
    note = [
        "All layers together, no retraining, test accuracy in %. Ours is another network of that shape, trained here; the published rows are of one"
        " network of 93.97 % (the name of its checkpoint), so compare what is lost rather than levels. Published numbers were read in the"
        " projects' own files:",
        "",
        *(f"- {file}" for file in files),
        "",
        "The tables of the papers themselves could not be opened here, and of CHITA (Benbaki et al. 2023) only the abstract: its numbers"
        " for this network are not printed.",
    ]
    return section(title, f"Points that are lost against the own dense network, the best of ours beside the best published row, which are two networks ({dense:.1f} and {PUBLISHED_DENSE} %): {'; '.join(words)}.",
                   table(["all layers zero", *(f"{100 * sparsity:.0f} %" for sparsity in SPARSITIES), ""], rows), "\n".join(note))


def second_seed(book, other, questions):
    """Which sentences a second seed says otherwise."""
    title = "A second seed"
    if not any(other.of.values()):
        return missing(title)
    rows, flips, changes, cells = [], 0, 0, 0
    for question in questions:
        first, second = (signs(question(each)) for each in (book, other))
        if first and len(first) == len(second):
            flipped = sum({one, two} == {"+", "-"} for one, two in zip(first, second))
            changed = sum(one != two for one, two in zip(first, second)) - flipped
            rows.append([question(book)[0].removeprefix("## "), len(first), flipped, changed])
            flips, changes, cells = flips + flipped, changes + changed, cells + len(first)
    sentence = f"Of {cells} comparisons that both seeds made, {flips} flip from better to worse or back, and {changes} are told apart by one seed alone."
    return section(title, sentence, table(["question", "comparisons", "flip", "told apart by one seed alone"], rows), "")


def signs(lines):
    """What each cell of a section's tables concludes: above, below, or not told apart."""
    cells = [cell for line in lines if line.startswith("|") for cell in line.split("|")[2:-1] if " ± " in cell and ("+" in cell or "−" in cell)]
    return ["+" if "**+" in cell else "-" if "**−" in cell else "0" for cell in cells]
