"""The figure: accuracy by size, and by time of a point, for every pair. One column, so that a phone can show it."""

import math

from .measured import DECAY_EPOCHS, mean

SIZES = (2, 4, 6, 8, 10, 15)
# Of each method: words, how it is found, colours on light and on dark ground (3:1 at least), dash and mark, which tell it in gray.
METHODS = (
    ("magnitude", ("magnitude", "", "cut"), "#6b6b6b", "#a8a8a8", "2 3", "cross"),
    ("Wanda", ("wanda", "", "cut"), "#8a5a00", "#e0a63c", "6 3", "triangle"),
    ("magnitude, refit", ("magnitude", "", "refit"), "#9c27b0", "#dd8bec", "8 3 2 3", "diamond"),
    (f"decay, {DECAY_EPOCHS} epochs each", ("decay-batched", "density", "cut"), "#b3261e", "#ff8a80", "4 2", "square"),
    ("surgeon, last", ("surgeon", "last", "refit"), "#00695c", "#4db6ac", "", "ring"),
    ("holding surgeon, mean", ("hold-surgeon", "mean", "refit"), "#0b57d0", "#8ab4f8", "", "dot"),
)
WIDTH, LEFT, RIGHT, PANEL, GAP = 500, 46, 316, 190, 76
TICKS = (10, 30, 50, 70, 80, 90, 95, 98, 99, 99.5)


def place(accuracy):
    """Accuracies near 1 apart: the logarithm of the error."""
    return -math.log10(max(1 - accuracy, 1e-4))


def mark(kind, x, y):
    if kind == "cross":
        return f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" class="open"/>'
    if kind == "triangle":
        return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z"/>'
    if kind == "diamond":
        return f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>'
    if kind == "square":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    if kind == "ring":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="ring"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def apart(wished, low, high, space=16):
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


def frame(parts, top, low, high, dense, title, below):
    def y(accuracy):
        share = (place(accuracy) - place(low)) / (place(high) - place(low))
        return top + PANEL * (1 - min(max(share, 0), 1))

    parts.append(f'<text x="4" y="{top - 12}" class="title">{title}</text>')
    for tick in TICKS:
        if low <= tick / 100 <= high:
            parts.append(f'<path d="M{LEFT} {y(tick / 100):.1f}H{RIGHT}" class="grid"/>'
                         f'<text x="{LEFT - 6}" y="{y(tick / 100) + 4:.1f}" class="end">{tick:g}</text>')
    parts.append(f'<path d="M{LEFT} {y(dense):.1f}H{RIGHT}" class="dense"/>')
    parts.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{top + PANEL + 34}" class="middle">{below}</text>')
    return y


def labels(parts, ends, top):
    """Each method's name beside its last point."""
    heights = apart([y for _, _, y in ends], top + 6, top + PANEL)
    for (index, x, y), height in zip(ends, heights):
        parts.append(f'<path d="M{x + 7:.1f} {y:.1f}L{RIGHT + 8} {height:.1f}" class="lead"/>'
                     f'<text x="{RIGHT + 11}" y="{height + 4:.1f}" class="m{index}">{METHODS[index][0]}</text>')


def marginal(run, key):
    """Milliseconds of one more point of the whole network."""
    method, rule, repair = key
    for row in run.ledger:
        if row["layers"] == "all" and row["method"] == method and row["repair"] == repair and (rule in ("", row["rule"])):
            return float(row["marginal_ms"]) if row["marginal_ms"] else None
    return None


def accuracies(run, key, size):
    """By replica; decay only of as many epochs as its label says."""
    return run.decay(size=size) if key[0].startswith("decay") else run.at(*key, size=size)


def draw(book):
    """The figure as SVG; nothing if no pair has been run."""
    pairs = book.pairs()
    if not pairs:
        return None
    parts, top = [], 54
    for name, run in pairs:
        found = [[(size, mean(accuracies(run, key, size))) for size in SIZES] for _, key, *_ in METHODS]
        found = [[(size, value) for size, value in points if value is not None] for points in found]
        sizes = sorted({size for points in found for size, _ in points})
        if not sizes:
            continue
        dense = mean(run.dense())
        values = [value for points in found for _, value in points] + [dense]
        low, high = max(min(values) - 0.02, 0.0), min(max(values) + (1 - max(values)) * 0.25, 0.9999)
        y = frame(parts, top, low, high, dense, f"{book.label(name)} (n = {run.replicas})", "times smaller (whole network)")

        def x(size, sizes=sizes):
            return LEFT + 12 + (RIGHT - LEFT - 24) * math.log(size / sizes[0]) / math.log(max(sizes[-1], 2 * sizes[0]) / sizes[0])

        for size in sizes:
            parts.append(f'<text x="{x(size):.1f}" y="{top + PANEL + 16}" class="middle">{size}x</text>')
        ends = []
        for index, points in enumerate(found):
            if points:
                line = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in points)
                parts.append(f'<g class="m{index}"><polyline points="{line}" stroke-dasharray="{METHODS[index][4]}"/>'
                             + "".join(mark(METHODS[index][5], x(size), y(value)) for size, value in points) + "</g>")
                ends.append((index, x(points[-1][0]), y(points[-1][1])))
        labels(parts, ends, top)
        top += PANEL + GAP
    timed = [(name, run) for name, run in pairs if name == "paper"]
    for name, run in timed:
        found = [(index, marginal(run, key), mean(accuracies(run, key, 4))) for index, (_, key, *_) in enumerate(METHODS)]
        found = [each for each in found if each[1] and each[2] is not None]
        if not found:
            continue
        spans = [math.log10(each[1]) for each in found]
        first, last = math.floor(min(spans)), math.ceil(max(spans))
        dense = mean(run.dense())
        high = max([each[2] for each in found] + [dense])
        y = frame(parts, top, max(min(each[2] for each in found) - 0.02, 0), min(high + (1 - high) * 0.25, 0.9999), dense,
                  f"{book.label(name)}: 4x smaller", "milliseconds for one more point of one network")

        def at(milliseconds):
            return LEFT + 12 + (RIGHT - LEFT - 24) * (math.log10(milliseconds) - first) / max(last - first, 1)

        for power in range(first, last + 1):
            parts.append(f'<text x="{at(10 ** power):.1f}" y="{top + PANEL + 16}" class="middle">{10 ** power:g}</text>')
        ends = []
        for index, milliseconds, accuracy in found:
            parts.append(f'<g class="m{index}">{mark(METHODS[index][5], at(milliseconds), y(accuracy))}</g>')
            ends.append((index, at(milliseconds), y(accuracy)))
        labels(parts, ends, top)
        top += PANEL + GAP
    height = top + 6
    light = "".join(f".m{index}{{color:{each[2]}}}" for index, each in enumerate(METHODS))
    dark = "".join(f".m{index}{{color:{each[3]}}}" for index, each in enumerate(METHODS))
    style = (
        "text{font:13px system-ui,sans-serif;fill:currentColor}svg{color:#1f1f1f}.ground{fill:#fff}.title{font-weight:600}.end{text-anchor:end}"
        ".middle{text-anchor:middle}polyline{fill:none;stroke:currentColor;stroke-width:1.8}.grid{stroke:currentColor;stroke-opacity:.15}"
        ".dense{stroke:currentColor;stroke-dasharray:1 3;stroke-width:1.5}.lead{stroke:currentColor;stroke-opacity:.35;fill:none}"
        "g path,g rect,g circle{fill:currentColor}g .open{fill:none;stroke:currentColor;stroke-width:2}"
        f"g .ring{{fill:#fff;stroke:currentColor;stroke-width:2}}{light}"
        f"@media(prefers-color-scheme:dark){{svg{{color:#e8e8e8}}.ground{{fill:#1b1b1b}}g .ring{{fill:#1b1b1b}}{dark}}}"
    )
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            'aria-label="Test accuracy of every method by size of the whole network, one panel for each pair of network and data">')
    caption = '<text x="4" y="18">Test accuracy in % (scale by error); dotted: as trained</text>'
    return f'{head}<style>{style}</style><rect class="ground" width="100%" height="100%"/>{caption}' + "".join(parts) + "</svg>\n"
