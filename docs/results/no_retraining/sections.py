"""A question of the page: its answer in sentences, its table, and every comparison that was made for it."""

import json

from . import runs
from .measured import MARGIN, Difference, holm, tally, times

SIZES = (2, 4, 6, 8, 10, 15)
DECAY_SIZES = (2, 4, 6, 8, 10)
MISSING = "This has not been run: `docs/results/update-no-retraining` makes it."
LEGEND = (
    "Points of test accuracy, paired by replica, with the 95 % interval of Student's t; bold: told apart from 0 after Holm's correction over"
    " all comparisons of its kind in the table."
)


class Book:
    """All runs of one seed that there are."""

    def __init__(self, open_run, folder):
        self.other = None
        self.of = {name: open_run(folder / f"{name}.zip") for name, _ in runs.comparisons()}
        made = folder / "made.json"
        # What `compact` and `prune` made of runs, by name.
        self.made = json.loads(made.read_text()) if made.is_file() else {}

    def one_shot(self, name, size):
        """Accuracy by replica of what `prune` made of a run."""
        return {int(replica): accuracy for replica, accuracy in self.made.get(name, {}).get(f"{size:g}", {}).items()}

    def same_work(self):
        """Runs of both seeds that tell what training and surgeon cost."""
        return [book.of[name] for book in (self, self.other) if book for name in runs.SAME_WORK]

    def pairs(self):
        return [(name, self.of[name]) for name in runs.PAIRS if self.of[name]]

    def label(self, name):
        """The pair's name, the same with either seed: with its epochs where another pair of either seed is of the same kind."""
        run = self.of[name]
        alike = {other for book in (self, self.other) if book for other, each in book.pairs() if each.title() == run.title()}
        return f"{run.title()}, {run.epochs} epochs" if len(alike) > 1 else run.title()


class Section:
    """`compared` holds the differences by kind of comparison, run and column, so that two seeds can be laid side by side."""

    def __init__(self, title, note=LEGEND):
        self.title, self.note = title, note
        self.answer, self.more, self.body = None, "", []
        self.compared = {}

    def compare(self, kind, run, column, ours, theirs):
        found = Difference(ours, theirs)
        if found.mean is not None:
            self.compared[kind, run, column] = found
        return found

    def of(self, kind, columns=None):
        return [each for (other, _, column), each in self.compared.items() if other == kind and (columns is None or column in columns)]

    def judge(self):
        """Marks what Holm's correction leaves of each kind."""
        for kind in dict.fromkeys(kind for kind, _, _ in self.compared):
            holm(self.of(kind))
        return self

    def lines(self):
        if self.answer is None:
            return [f"## {self.title}", "", MISSING, ""]
        return [f"## {self.title}", "", f"**{self.answer}** {self.more}".strip(), "", *self.body, "", *([self.note, ""] if self.note else [])]


def table(header, rows):
    if not rows:
        return ["Not measured yet."]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]


def at_sizes(sizes=SIZES):
    return [times(size) for size in sizes]


def at_sparsities(sparsities):
    return [f"focus {100 * sparsity:.0f} %" for sparsity in sparsities]


def signed(value, digits=2):
    return f"{value:+.{digits}f}".replace("-", "−")


def span(values, digits=2):
    """`+0.1 to +0.4 points`."""
    low, high = signed(min(values), digits), signed(max(values), digits)
    return f"{low} points" if low == high else f"{low} to {high} points"


def word(differences):
    """The answer in a word, by the rule that the page tells."""
    better, worse, neither = tally(differences)
    count = better + worse + neither
    if not count:
        return "Not measured"
    if better and worse:
        return "It depends"
    if worse:
        return "No"
    if 2 * better >= count:
        return "Yes"
    if better:
        return "In part"
    return "No" if 2 * sum(each.is_alike() for each in differences) >= count else "Undecided"


WORDS = (
    "An answer is *yes* where ours is told apart as better in half of the comparisons or more and as worse in none; *in part* where it is in fewer;"
    " *it depends* where it is better in some and worse in others; *no* where it is worse in some and better in none, or where neither is told"
    f" apart and half of the whole intervals or more lie within ±{MARGIN} point; *undecided* where too many intervals are wider. *Alike* and"
    f" *as good* always mean that: the whole 95 % interval within ±{MARGIN} point, or above −{MARGIN}."
)


def verdict(differences):
    """`better in 3 of 12 (+0.1 to +0.4 points), worse in none, not told apart in 9 (8 alike)`."""
    better, worse, neither = tally(differences)
    count = better + worse + neither
    if not count:
        return "not measured yet"
    up = [each.mean for each in differences if each.holm and each.mean > 0]
    down = [each.mean for each in differences if each.holm and each.mean < 0]
    alike = sum(each.is_alike() for each in differences if not each.holm)
    words = [f"better in {better or 'none'} of {count}" + (f" ({span(up)})" if up else ""), f"worse in {worse or 'none'}" + (f" ({span(down)})" if down else "")]
    if neither:
        words.append(f"not told apart in {neither} ({'all' if alike == neither else alike or 'none'} alike)")
    return ", ".join(words)


def largest(found, holds):
    """The largest size up to which `holds` is true of every difference, in words; `found` is by size."""
    size = None
    for at, each in sorted(found.items()):
        if each.mean is None:
            continue
        if not holds(each):
            break
        size = at
    return times(size) if size else "none"
