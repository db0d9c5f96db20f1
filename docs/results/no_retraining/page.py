"""The page, of what has been run."""

import json

from . import figure, questions, runs, yardstick
from .measured import Difference, open_run, percent
from .questions import Book, SIZES, table

QUESTIONS = (
    questions.holding_against_magnitude,
    questions.holding_surgeon,
    questions.averaging,
    questions.still_better,
    questions.decay,
    questions.cosine,
    questions.windows,
    questions.calibration,
    questions.rows_weighted,
    questions.stages,
    questions.ridge,
    questions.whole_inputs,
)


def answer(lines):
    """The sentence at the top of a section."""
    return lines[1].strip("*")


def versions(book):
    """What the runs were made with."""
    found = {(run.manifest.get("version"), json.dumps(run.manifest.get("device"))) for run in book.of.values() if run}
    words = sorted({f"holdfast {version}, {name_of(device)}" for version, device in found})
    return "; ".join(words)


def name_of(device):
    device = json.loads(device)
    if isinstance(device, dict):
        return " ".join(str(device[key]) for key in ("name", "variant") if device.get(key))
    return str(device)


def does_not_work(book):
    """Comparisons of ours that are told apart as worse, and kinds that never are better."""
    lines = ["## What does not work", ""]
    found = []
    for name, run in book.pairs():
        for size in SIZES:
            for words, ours, theirs in (
                ("holding surgeon less plain surgeon, last weights", run.at("hold-surgeon", "last", "refit", size=size), run.at("surgeon", "last", "refit", size=size)),
                ("holding surgeon less plain surgeon, mean weights", run.at("hold-surgeon", "mean", "refit", size=size), run.at("surgeon", "mean", "refit", size=size)),
                ("holding surgeon on mean weights less decay of 3 epochs", run.at("hold-surgeon", "mean", "refit", size=size), run.decay(size=size)),
            ):
                each = Difference(ours, theirs)
                if each.told_apart() and each.mean < 0:
                    found.append([f"{book.label(name)}, {size:g}x", words, each])
    if found:
        return lines + ["Where ours is worse and its own interval (not corrected) leaves out 0:", "", *table(["where", "what", "points"], found), ""]
    return lines + ["In no comparison by size that was measured is a surgeon of ours told apart as worse, each interval by itself.", ""]


def write(kept, second, here):
    """Writes the page and its figure beside the script, from runs that were kept and from those of a second seed; the same files
    give the same bytes."""
    book = Book(open_run, kept)
    other = Book(open_run, second)
    sections = [question(book) for question in QUESTIONS]
    titles = dict(zip((question.__name__ for question in QUESTIONS), sections))
    made = [name for name, run in book.of.items() if run]
    not_made = [name for name, run in book.of.items() if not run]
    public = yardstick.public(book, here)
    pairs = book.pairs()
    drawn = figure.draw(book)
    lines = ["# Pruning without retraining: what holds", "Made by `docs/results/update-no-retraining` from result files; nothing here is typed in.", ""]
    if not_made:
        lines += [f"So far {len(made)} of {len(made) + len(not_made)} runs have been made, of {len(pairs)} of {len(runs.PAIRS)} pairs of network and"
                  " data: what is told below is of these alone, and a section whose runs are missing says so.", ""]
    if pairs:
        head = [
            f"- **Smaller and still better**: {lower(answer(titles['still_better']))}",
            f"- **Holding**: {lower(answer(titles['holding_surgeon']))}",
            f"- **Averaging**: {lower(answer(titles['averaging']))}",
            f"- **Exponential decay**: {lower(answer(titles['decay']))}",
            f"- **Holding without a surgeon**: {lower(answer(titles['holding_against_magnitude']))}",
        ]
        if titles["cosine"][1].startswith("**"):
            head.append(f"- **Cosine decay**: {lower(answer(titles['cosine']))}")
        if public[1].startswith("**"):
            head.append(f"- **Yardstick**: {lower(answer(public))}")
        lines += [*head, ""]
    lines += [
        "Networks and data are small: what is claimed is claimed for these. Test images choose nothing; sizes, window and settings were fixed"
        " before. The surgeons and repairs see training images without labels. What each word means is in the [glossary](../glossary.md); what is"
        " known and from whom, in [related work](related-work.md).",
        "",
    ]
    if drawn:
        lines += ["![Accuracy by size and by time of a point, for every pair](no-retraining.svg)", ""]
        if book.of["paper"]:
            lines += [f"Times, in the last panel, are of the run `paper` alone: {name_of(json.dumps(book.of['paper'].manifest.get('device')))}.", ""]
        (here / "no-retraining.svg").write_text(drawn)
    if pairs:
        lines += ["## Pairs of network and data", *questions.pairs_table(book), "", f"Made with {versions(book)}.", ""]
    lines += questions.accuracies(book)
    for each in sections:
        lines += each
    lines += public
    if pairs:
        lines += does_not_work(book)
    lines += yardstick.second_seed(book, other, QUESTIONS)
    lines += ["## The runs", "", "`docs/results/update-no-retraining --list` prints the commands. " + (
        f"Not run yet: {', '.join(f'`{name}`' for name in not_made)}." if not_made else "All have been run."), ""]
    commands = {name: words.replace(runs.FASHION, "any=DIR/fashion-mnist") for name, words in runs.comparisons()}
    lines += ["```sh", *(f"holdfast {commands[name]} --out runs/{name}" for name in made), "```"]
    (here / "no-retraining.md").write_text("\n".join(lines).rstrip() + "\n")


def lower(sentence):
    """A sentence after a colon."""
    return sentence[:1].lower() + sentence[1:]
