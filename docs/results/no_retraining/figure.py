"""The figure: accuracy by size for each kind of network and data, and by time of one more size. One column, so that a phone can show it."""

import math

from .measured import DECAY_EPOCHS, least_seconds, mean, student
from .sections import SIZES

# Of each method: words, accuracies at a place, its line in the ledger, colours on light and on dark ground (3:1 at least), dash and mark, which
# tell it in gray.
METHODS = (
    ("magnitude", lambda run, size: run.at("magnitude", size=size), ("magnitude", "", "cut"), "#6b6b6b", "#a8a8a8", "2 3", "cross"),
    ("holding magnitude", lambda run, size: run.hold(size=size), ("hold", "frozen-first", "cut"), "#3b6e22", "#8fcf6a", "7 2", "plus"),
    ("Wanda's score", lambda run, size: run.at("wanda", size=size), ("wanda", "", "cut"), "#8a5a00", "#e0a63c", "6 3", "triangle"),
    ("random, refit", lambda run, size: run.at("random", "", "refit", size=size), ("random", "", "refit"), "#7a4a3a", "#cfa08e", "1 3", "down"),
    ("magnitude, refit", lambda run, size: run.at("magnitude", "", "refit", size=size), ("magnitude", "", "refit"), "#9c27b0", "#dd8bec", "8 3 2 3",
     "diamond"),
    (f"decay, {DECAY_EPOCHS} epochs each", lambda run, size: run.decay(size=size), ("decay-batched", "density", "cut"), "#b3261e", "#ff8a80", "4 2",
     "square"),
    ("surgeon, last", lambda run, size: run.surgeon("last", False, size=size), ("surgeon", "last", "refit"), "#00695c", "#4db6ac", "", "ring"),
    ("holding surgeon, mean", lambda run, size: run.surgeon(size=size), ("hold-surgeon", "mean", "refit"), "#0b57d0", "#8ab4f8", "", "dot"),
)
WIDTH, LEFT, RIGHT, PANEL, GAP = 510, 44, 292, 230, 96
TICKS = (10, 20, 30, 50, 70, 80, 90, 95, 98, 99)
# What the panel of times shows: one pair at one size, of which the seconds were kept.
TIMED, TIMED_SIZE = "mnist-dnn", 4


def place(accuracy):
    """Accuracies near 1 apart: the logarithm of the error."""
    return -math.log10(max(1 - accuracy, 1e-4))


def interval(values):
    """Mean of the replicas and half of its 95 % interval."""
    middle = mean(values)
    if len(values) < 2:
        return middle, 0.0
    variance = sum((value - middle) ** 2 for value in values.values()) / (len(values) - 1)
    return middle, student(len(values) - 1) * math.sqrt(variance / len(values))


def mark(kind, x, y, hollow=False):
    shape = {
        "cross": f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8",
        "plus": f"M{x - 5:.1f} {y:.1f}h10m-5 -5v10",
        "triangle": f"M{x:.1f} {y - 5:.1f}l5 9h-10z",
        "down": f"M{x:.1f} {y + 5:.1f}l5 -9h-10z",
        "diamond": f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
        "square": f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
    }.get(kind, f"M{x - 4.5:.1f} {y:.1f}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z")
    style = "open" if kind in ("cross", "plus") else "hollow" if hollow or kind == "ring" else "mark"
    return f'<path d="{shape}" class="{style}"/>'


def apart(wished, low, high, space=17):
    """Heights near those wished, `space` apart."""
    order = sorted(range(len(wished)), key=lambda index: wished[index])
    heights = [0.0] * len(wished)
    last = low - space
    for index in order:
        last = max(wished[index], last + space)
        heights[index] = last
    limit = high
    for index in reversed(order):
        heights[index] = min(heights[index], limit)
        limit = heights[index] - space
    return heights


class Panel:
    """Axes between two accuracies, the levels of the trained networks and of chance, and names at the right."""

    def __init__(self, parts, top, title, below, values, run, chance):
        self.parts, self.top, self.ends = parts, top, []
        levels = [(words, mean(run.dense(base))) for words, base in (("trained: mean weights", "mean"), ("trained: last weights", "last"))]
        shown = [*values, *(level for _, level in levels)]
        least, most = min([*shown, *([chance] if chance else [])]), max(shown)
        self.low, self.high = place(max(least - 0.02, 0)), place(most + (1 - most) * 0.2)
        parts.append(f'<text x="4" y="{top - 14}" class="title">{title}</text>')
        lowest = top + PANEL + 16
        for tick in TICKS:
            y = self.y(tick / 100)
            if self.low <= place(tick / 100) <= self.high and lowest - y >= 15:
                lowest = y
                parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" class="grid"/><text x="{LEFT - 6}" y="{y + 5:.1f}" class="end">{tick:g}</text>')
        for (words, level), style in zip(levels, ("averaged", "trained")):
            parts.append(f'<path d="M{LEFT} {self.y(level):.1f}H{RIGHT}" class="{style}"/>')
            self.ends.append((words, None, RIGHT, self.y(level)))
        if chance:
            parts.append(f'<path d="M{LEFT} {self.y(chance):.1f}H{RIGHT}" class="chance"/>')
            self.ends.append(("chance", None, RIGHT, self.y(chance)))
        parts.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{top + PANEL + 40}" class="middle">{below}</text>')

    def y(self, accuracy):
        share = (place(accuracy) - self.low) / (self.high - self.low)
        return self.top + PANEL * (1 - min(max(share, 0), 1))

    def tick(self, x, words):
        self.parts.append(f'<text x="{x:.1f}" y="{self.top + PANEL + 20}" class="middle">{words}</text>')

    def names(self):
        """Beside its last point the name of each method and level."""
        heights = apart([y for *_, y in self.ends], self.top, self.top + PANEL)
        for (words, index, x, y), height in zip(self.ends, heights):
            style, left, sample = "", RIGHT + 18, ""
            if index is not None:
                style, left, sample = f"m{index}", RIGHT + 34, mark(METHODS[index][6], RIGHT + 24, height)
            self.parts.append(f'<path d="M{x + 7:.1f} {y:.1f}L{RIGHT + 14} {height:.1f}" class="lead"/>'
                              f'<g class="{style}">{sample}<text x="{left}" y="{height + 5:.1f}">{words}</text></g>')


def by_size(parts, top, title, run, chance):
    found = [[(size, *interval(values)) for size in SIZES if (values := find(run, size))] for _, find, *_ in METHODS]
    low, high = SIZES[0], SIZES[-1]

    def x(size):
        return LEFT + 10 + (RIGHT - LEFT - 20) * math.log(size / low) / math.log(high / low)

    panel = Panel(parts, top, title, "times smaller, whole network", [value for points in found for _, value, _ in points], run, chance)
    for size in SIZES:
        panel.tick(x(size), size)
    for index, points in enumerate(found):
        if points:
            upper = [f"{x(size):.1f},{panel.y(value + half):.1f}" for size, value, half in points]
            lower = [f"{x(size):.1f},{panel.y(value - half):.1f}" for size, value, half in reversed(points)]
            line = " ".join(f"{x(size):.1f},{panel.y(value):.1f}" for size, value, _ in points)
            parts.append(f'<g class="m{index}"><polygon points="{" ".join(upper + lower)}"/><polyline points="{line}" stroke-dasharray="{METHODS[index][5]}"/>'
                         + "".join(mark(METHODS[index][6], x(size), panel.y(value)) for size, value, _ in points) + "</g>")
            panel.ends.append((METHODS[index][0], index, x(points[-1][0]), panel.y(points[-1][1])))
    panel.names()


def milliseconds(book, key):
    """Of one more size of one network: by itself, and with a share of history, Grams and paths; training apart. The least of both seeds, since other
    work on the machine only adds."""
    method, rule, repair = key
    found = []
    for each in (book, book.other):
        run = each.of[TIMED] if each else None
        costs = run and run.costs(method, rule, repair)
        if costs and costs["total_s"] and costs["marginal_ms"]:
            shared = 0 if method.startswith("decay") else sum(costs[name] or 0 for name in ("record_s", "sort_count_s", "calibrate_s"))
            found.append((costs["marginal_ms"], 1000 * shared / (costs["operating_points"] * costs["replicates"])))
    if not found:
        return None
    alone = min(each[0] for each in found)
    return alone, alone + min(each[1] for each in found)


def by_time(parts, top, title, book, chance):
    run = book.of[TIMED]
    found = [(index, times, *interval(values)) for index, (_, find, key, *_) in enumerate(METHODS)
             if (times := milliseconds(book, key)) and (values := find(run, TIMED_SIZE))]
    first, last = math.floor(math.log10(min(each[1][0] for each in found))), math.ceil(math.log10(max(each[1][1] for each in found)))

    def x(time):
        return LEFT + 10 + (RIGHT - LEFT - 20) * (math.log10(time) - first) / max(last - first, 1)

    panel = Panel(parts, top, title, "milliseconds for one more size", [each[2] for each in found], run, chance)
    for power in range(first, last + 1):
        panel.tick(x(10 ** power), f"{10 ** power:g}")
    for index, (alone, charged), value, half in found:
        y = panel.y(value)
        parts.append(f'<g class="m{index}"><path d="M{x(alone):.1f} {panel.y(value - half):.1f}V{panel.y(value + half):.1f}" class="open"/>'
                     f'<path d="M{x(alone):.1f} {y:.1f}H{x(charged):.1f}" class="open"/>{mark(METHODS[index][6], x(alone), y)}'
                     + (mark(METHODS[index][6], x(charged), y, True) if x(charged) - x(alone) > 8 else "") + "</g>")
        panel.ends.append((METHODS[index][0], index, x(charged), y))
    panel.names()


def has_times(book):
    return book.of[TIMED] and milliseconds(book, METHODS[-1][2])


def draw(book):
    """The figure as SVG; nothing if no pair has been run."""
    kinds = {}
    for name, run in book.pairs():
        kinds.setdefault(run.title(), (name, run))
    if not kinds:
        return None
    chances = {run.data: run.subject.get("chance") for each in (book, book.other) for run in each.of.values() if run and run.subject.get("chance")}
    parts, top = [], 84
    for name, run in kinds.values():
        by_size(parts, top, f"{book.label(name)} (n = {run.replicas})", run, chances.get(run.data))
        top += PANEL + GAP
    timed = book.of[TIMED]
    if has_times(book):
        by_time(parts, top, f"{book.label(TIMED)}, {TIMED_SIZE}x smaller (n = {timed.replicas})", book, chances.get(timed.data))
        top += PANEL + GAP
    light, dark = ("".join(f".m{index}{{color:{each[side]}}}" for index, each in enumerate(METHODS)) for side in (3, 4))
    style = (
        "svg{color:#1f1f1f}text{font:15px system-ui,sans-serif;fill:currentColor}.ground{fill:#fff}.title{font-weight:600}.end{text-anchor:end}"
        ".middle{text-anchor:middle}polyline{fill:none;stroke:currentColor;stroke-width:1.8}polygon{fill:currentColor;fill-opacity:.13}"
        ".grid{stroke:currentColor;stroke-opacity:.15}.trained{stroke:currentColor;stroke-dasharray:1 3;stroke-width:1.5}"
        ".averaged{stroke:currentColor;stroke-dasharray:8 3;stroke-width:1}.chance{stroke:currentColor;stroke-dasharray:12 4 2 4;stroke-opacity:.6}"
        ".lead{stroke:currentColor;stroke-opacity:.35;fill:none}.mark{fill:currentColor}.open{fill:none;stroke:currentColor;stroke-width:1.6}"
        f".hollow{{fill:#fff;stroke:currentColor;stroke-width:1.8}}{light}"
        f"@media(prefers-color-scheme:dark){{svg{{color:#e8e8e8}}.ground{{fill:#1b1b1b}}.hollow{{fill:#1b1b1b}}{dark}}}"
    )
    height = top - 30
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Test accuracy by size of the whole network'
            f' for {len(kinds)} kinds of network and data, and by time of one more size">')
    words = '<text x="4" y="20">Test accuracy in % (scale by error);</text><text x="4" y="40">bands and bars: 95 % interval over networks</text>'
    return f'{head}<style>{style}</style><rect class="ground" width="100%" height="100%"/>{words}' + "".join(parts) + "</svg>\n"


def caption(book):
    """What a reader of the figure needs beside it."""
    lines = "Magnitude stability is at chance from 4x on and left out; plain surgeon on mean and holding surgeon on last weights lie on the lines shown."
    if has_times(book):
        train, _ = least_seconds(book.same_work())
        lines += (
            f" The last panel: the time of one more size of one network, CPU engine; left marks by itself, right ones with a share of history, Grams"
            f" and paths. Training, {train:.2f} s for a network here, comes on top for all but decay. Times are the least of two runs"
            " on a machine with other work, and rough."
        )
    return lines
