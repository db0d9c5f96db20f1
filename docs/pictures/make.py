#!/usr/bin/env python3
"""Draws the pictures of docs/gpu.md and of the lessons. Sizes are read from the shaders: each picture says which, and a test
compares them. Usage, from the repository's root: docs/pictures/make.py"""

import re
import textwrap
from pathlib import Path

WIDTH = 360  # of a phone
HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STYLE = """
  .paper { fill: #ffffff } text { fill: #1a1a1a; font: 13px system-ui, sans-serif } .small { font-size: 11px; fill: #444 }
  .line { stroke: #555; fill: none; stroke-width: 1.2 } .cell { fill: #f1f1f1; stroke: #b5b5b5; stroke-width: .7 }
  .group { fill: #cfe3f7; stroke: #1f5f99; stroke-width: 1.2 } .own { fill: #e07b00; stroke: #7a4300; stroke-width: 1 }
  .other { fill: #d9ead3; stroke: #3a7d34; stroke-width: 1 } .wall { stroke: #b00020; stroke-width: 3 }
  text.on { fill: #000 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #1d1f21 } text { fill: #eeeeee } .small { fill: #c4c4c4 } .line { stroke: #bbb }
    .cell { fill: #2c2f33; stroke: #5c6066 }
    .group { fill: #1d3f5e; stroke: #7db7ea } .own { fill: #e08a1e; stroke: #ffd08a }
    .other { fill: #24452a; stroke: #86c98c }
    .wall { stroke: #ff6b81 } text.on { fill: #000 }
  }"""


def escape(words):
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Picture:
    def __init__(self, name, title, sources=()):
        self.name, self.title, self.sources, self.parts, self.bottom = name, title, sources, [], 0

    def rect(self, x, y, w, h, kind="cell", round_=2):
        self.parts.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{round_}"/>')
        self.bottom = max(self.bottom, y + h)

    def text(self, x, y, words, kind="", anchor="start"):
        self.parts.append(f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>')
        self.bottom = max(self.bottom, y)

    def line(self, x1, y1, x2, y2, kind="line", arrow=False):
        end = ' marker-end="url(#tip)"' if arrow else ""
        self.parts.append(f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"{end}/>')
        self.bottom = max(self.bottom, y1, y2)

    def cells(self, x, y, count, size, kinds, labels=None, height=None):
        for i in range(count):
            kind = kinds(i) if callable(kinds) else kinds
            self.rect(x + i * size, y, size, height or size, kind)
            if labels:
                on = "small on" if kind == "own" else "small"
                self.text(x + (i + 0.5) * size, y + (height or size) / 2 + 4, str(labels(i)), on, "middle")

    def grid(self, x, y, rows, columns, size, kind_of):
        for row in range(rows):
            for column in range(columns):
                self.rect(x + column * size, y + row * size, size, size, kind_of(row, column), 0)

    def lines(self, x, y, words, right=WIDTH - 6):
        # 6.2 units a letter, on the wide side.
        for i, line in enumerate(textwrap.wrap(" ".join(words), int((right - x) / 6.2))):
            self.text(x, y + 16 * i, line, "small")

    def write(self):
        height = self.bottom + 12
        said = "; ".join(f"{path} {name}={value}" for path, name, value in self.sources)
        HERE.joinpath(f"{self.name}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
            f'height="{height:g}" role="img">\n'
            f"<title>{escape(self.title)}</title>\n<desc>{escape(said)}</desc>\n<style>{STYLE}\n</style>\n"
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 8 4 0 8z" fill="#888"/></marker></defs>\n'
            f'<rect class="paper" x="0" y="0" width="{WIDTH}" height="{height:g}" rx="6"/>\n'
            + "\n".join(self.parts) + "\n</svg>\n")


def constant(path, name):
    found = re.search(rf"(?:const|override) {name}(?:: u32)? = (\d+)u?;", (ROOT / path).read_text())
    if not found:
        raise SystemExit(f"{path} has no constant {name} any more")
    return int(found[1])


def primer():
    p = Picture("invocation", "Eight invocations, each with its own element")
    p.text(10, 20, "x")
    p.cells(50, 8, 8, 36, lambda i: "own" if i == 3 else "cell", lambda i: i)
    p.text(10, 78, "main")
    p.cells(50, 60, 8, 36, lambda i: "own" if i == 3 else "group", lambda i: f"id {i}", 30)
    p.text(10, 128, "y")
    p.cells(50, 112, 8, 36, lambda i: "own" if i == 3 else "cell", lambda i: i * i)
    for i in range(8):
        p.line(68 + 36 * i, 46, 68 + 36 * i, 58, arrow=True)
        p.line(68 + 36 * i, 92, 68 + 36 * i, 110, arrow=True)
    p.text(50, 168, "All eight run the same text at the same time.", "small")
    p.write()

    p = Picture("dispatch", "Three workgroups of four invocations for ten elements")
    p.text(10, 20, "dispatch of 3 workgroups")
    for group in range(3):
        p.rect(10 + 115 * group, 30, 108, 66, "group", 5)
        p.text(64 + 115 * group, 48, f"workgroup {group}", "small", "middle")
        p.cells(16 + 115 * group, 58, 4, 24, lambda i, g=group: "cell" if 4 * g + i < 10 else "other", lambda i,
              g=group: 4 * g + i)
    p.lines(10, 118, ["10 elements; invocations 10 and 11 (green) own nothing and",
          "return at once. Workgroups run in any order."])
    p.write()

    p = Picture("binding", "Bindings: the numbers by which a text knows the host's arrays")
    for i, (name, access) in enumerate([("weights", "read"), ("inputs", "read"), ("product", "read_write")]):
        p.rect(10, 12 + 42 * i, 120, 32, "other" if access == "read" else "own", 4)
        p.text(70, 33 + 42 * i, name, "on" if access != "read" else "", "middle")
        p.line(130, 28 + 42 * i, 206, 28 + 42 * i, arrow=True)
        p.text(168, 23 + 42 * i, str(i), "small", "middle")
        p.rect(208, 12 + 42 * i, 142, 32, "group", 4)
        p.text(279, 33 + 42 * i, f"@binding({i}) {access}", "small", "middle")
    p.text(10, 152, "the host's arrays", "small")
    p.text(208, 152, "the text's variables", "small")
    p.write()

    p = Picture("workgroup", "A workgroup shares memory that no other sees")
    for group in range(2):
        p.rect(10 + 174 * group, 10, 166, 104, "group", 5)
        p.text(93 + 174 * group, 28, f"workgroup {group}", "small", "middle")
        p.cells(21 + 174 * group, 36, 8, 18, lambda i: "own" if i == 2 else "cell")
        p.rect(21 + 174 * group, 82, 144, 22, "other", 3)
        p.text(93 + 174 * group, 97, "shared_numbers", "small", "middle")
        p.line(66 + 174 * group, 56, 66 + 174 * group, 80, arrow=True)
        p.line(84 + 174 * group, 82, 70 + 174 * group, 58, arrow=True)
    p.lines(10, 134, ["An invocation (orange) leaves its number in its workgroup's",
          "memory and takes the one that its neighbour left."])
    p.write()

    p = Picture("barrier", "A sum by halves, with a barrier before each round")
    p.text(10, 20, "partial")
    for round_, width in enumerate([8, 4, 2, 1]):
        y = 28 + 46 * round_
        p.cells(20, y, 8, 40, lambda i, w=width: "own" if i < w else "cell", None, 24)
        if round_ < 3:
            p.line(14, y + 35, 346, y + 35, "wall")
            for i in range(width // 2):
                p.line(40 + 40 * (i + width // 2), y + 24, 44 + 40 * i, y + 46, arrow=True)
    p.lines(10, 214, ["Red: workgroupBarrier(). Nobody goes on before all have",
          "come, and what was written before it can be read behind it."])
    p.write()

    p = Picture("subgroup", "Subgroups: the parts of a workgroup that run in step")
    p.rect(10, 10, 340, 76, "group", 5)
    p.text(180, 28, "a workgroup of 32 invocations", "small", "middle")
    for part in range(4):
        p.rect(18 + 82 * part, 38, 78, 40, "other", 4)
        p.cells(21 + 82 * part, 44, 8, 9, "own", None, 12)
        p.text(57 + 82 * part, 72, f"subgroup {part}", "small", "middle")
    p.lines(10, 106, ["Here of 8, as on a processor's vectors; 32 or 64 on GPUs.",
          "Its invocations hand each other numbers without memory."])
    p.write()

    p = Picture("memory", "Levels of memory: the nearer, the smaller")
    for i, (kind, name, said) in enumerate([("own", "registers", "one invocation · hundreds of bytes · at once"),
                                            ("other", "workgroup memory", "one workgroup · 16 KiB · tens of cycles"),
                                            ("group", "cache", "all · some MiB · a hundred cycles"),
                                            ("cell", "storage", "all · many GiB · hundreds of cycles")]):
        inset = 36 - 12 * i
        p.rect(10 + inset, 10 + 40 * i, 340 - 2 * inset, 34, kind, 4)
        p.text(180, 25 + 40 * i, name, "on" if kind == "own" else "", "middle")
        p.text(180, 39 + 40 * i, said, "small on" if kind == "own" else "small", "middle")
    p.lines(10, 186, ["What is read more than once is worth a copy nearer by."])
    p.write()

    p = Picture("coalescing", "Neighbours that read neighbours need one piece of memory, others eight")
    for block, (title, step) in enumerate([("near: x[lane]", 1), ("far: x[8 lane]", 8)]):
        y = 12 + 100 * block
        p.text(10, y + 10, title)
        p.cells(10, y + 18, 8, 20, "group", lambda i: i)
        for row in range(2):
            for i in range(32):
                place = 32 * row + i
                p.rect(10 + 10.6 * i, y + 56 + 14 * row, 10, 12,
                      "own" if place % step == 0 and place < 8 * step else "cell", 1)
    p.lines(10, 222, ["Orange: numbers that are used. Memory comes in pieces, here of",
          "eight: near fetches one piece, far eight for as many numbers."])
    p.write()

    p = Picture("registers", "A register tile: an invocation owns 2 x 2 outputs")
    p.grid(70, 46, 4, 4, 34, lambda r, c: "own" if r < 2 and c < 2 else "group" if (r // 2 + c // 2) % 2 else "cell")
    p.cells(70, 10, 4, 34, lambda i: "other" if i < 2 else "cell", lambda i: 10 * (i + 1), 26)
    for i in range(4):
        p.rect(30, 46 + 34 * i, 30, 34, "other" if i < 2 else "cell")
        p.text(45, 67 + 34 * i, str(i + 1), "small", "middle")
    p.lines(222, 60, ["four loads (green)", "serve four products", "(orange). One by one", "it would be eight."])
    p.write()

    p = Picture("software", "A GPU and a driver that runs in software")
    for i, (name, rows) in enumerate([("GPU", 4), ("software driver", 1)]):
        p.text(10 + 180 * i, 22, name)
        for row in range(rows):
            p.cells(10 + 180 * i, 32 + 22 * row, 8, 19, "own", None, 18)
    p.lines(10, 136, ["thousands of lanes; a load is served for neighbours together"], 180)
    p.lines(190, 74, ["8 lanes of a core's vector;", "loads go lane by lane,", "workgroup memory is the",
          "same cache as all else"])
    p.write()


def owner(name, title, sources, rows, columns, group, tile, words, size=10, axes=("", "")):
    """A result of rows x columns: what one workgroup owns (blue), and one invocation of it (orange)."""
    p = Picture(name, title, sources)
    size = min(size, 300 / columns)
    p.text(40, 16, axes[1], "small")
    p.text(6, 30 + 12, axes[0], "small")

    def kind(row, column):
        inside = group[0] <= row < group[0] + group[2] and group[1] <= column < group[1] + group[3]
        own = any(r <= row < r + h and c <= column < c + w for r, c, h, w in tile)
        return "own" if own else "group" if inside else "cell"

    p.grid(40, 24, rows, columns, size, kind)
    p.lines(10, 24 + rows * size + 20, words)
    p.write()


def lessons():
    def read(path, *names):
        return [(path, name, constant(path, name)) for name in names]

    tile = "shaders/prelude/dense_tile.wgsl"
    s = read(tile, "SIDE", "INNER", "LANES", "QUADS")
    side, inner, lanes, quads = (value for *_, value in s)
    own = side // quads
    owner("dense", "dense.forward_tiled: who owns what", s, side + 8, side + 8, (0, 0, side, side), [(own, 2 * own, own,
          own)],
          [f"Blue: {side} x {side} outputs of a workgroup of {lanes}. Orange: {own} x {own} of",
                f"one invocation, {own * own} sums in registers. {inner} places of the inner",
                      "axis lie in workgroup memory at a time."],
          7.2, ("n", "k"))
    gram = "shaders/gram/accumulate.wgsl"
    s = read(gram, "SUMS", "ROWS")
    sums, rows = (value for *_, value in s)
    owner("gram", "gram.accumulate: who owns what", s, sums + 8, sums + 8, (0, 0, sums, sums), [(4, 8, 4, 4), (8, 4, 4, 4)],
          [f"Blue: {sums} x {sums} sums of a workgroup. Orange: 4 x 4 of one",
                f"invocation, and their mirror image. {rows} rows of both sides lie", "in workgroup memory at a time."],
          7.2, ("i", "j"))
    owner("conv2d", "conv2d.forward: who owns what", read("shaders/conv2d/forward.wgsl", "WORKGROUP_SIZE"), 14, 14, (0, 0,
          4, 14), [(0, 4, 4, 4)],
          ["Orange: 4 x 4 pixels x 4 channels of one invocation, 64 sums.",
                "Blue: where other tiles of its workgroup lie: first the other",
                      "channels of these pixels, then along the row. Beyond an edge", "lies 0, and nothing is written."],
                            16, ("y", "x"))
    owner("max_pool2d", "max_pool2d.forward: who owns what", read("shaders/max_pool2d/forward.wgsl", "WORKGROUP_SIZE"), 6,
          16, (0, 0, 2, 16), [(0, 0, 2, 8)],
          ["Orange: the 2 x 8 pixels of one invocation, four windows of",
                "four channels each: sixteen codes of two bits, one word."], 18, ("y", "x"))
    sort = "shaders/magnitude_sort/rank.wgsl"
    s = read(sort, "QUADS", "WORKGROUP_SIZE")
    owner("magnitude_sort", "magnitude_sort.rank: who owns what", s, 4, 32, (0, 0, 1, 32), [(0, 8, 1, 4)],
          [f"A row is a segment: one epoch of one replica, up to {4 * s[0][2]:,} keys.",
                "Blue: one workgroup has it in its memory. Orange: four keys of",
                      "one invocation, which meet every key of the row."], 9, ("", "weights"))
    stable = "shaders/stability/count.wgsl"
    s = read(stable, "BLOCK", "WORKGROUP_SIZE")
    owner("stability", "stability.count: who owns what", s, 16, 32, (0, 0, 16, 16), [(0, 5, 16, 1)],
          [f"Blue: the weights of a workgroup of {s[1][2]}, drawn as 16. Orange: one",
                "invocation walks its weight's column from the last epoch back.",
                      f"Counts of {s[0][2]} epochs are gathered in workgroup memory."], 9, ("t", "weights"))
    owner("adam", "adam.step: who owns what", read("shaders/adam/step.wgsl", "WORKGROUP_SIZE"), 4, 32, (0, 0, 4, 16), [(0,
          5, 4, 1)],
          ["Rows: gradient, parameter, m, v. Orange: the four numbers of",
                "one parameter, read and written once by one invocation.",
                      "Blue: those of its workgroup, neighbours beside neighbours."], 9, ("", "parameters"))
    owner("mean", "mean.accumulate: who owns what", read("shaders/mean/accumulate.wgsl", "WORKGROUP_SIZE"), 2, 32, (0, 0, 2,
          16), [(0, 5, 2, 1)],
          ["Rows: parameter and running sum. Orange: what one invocation", "owns; blue: its workgroup."], 9, ("",
                "parameters"))
    owner("he_normal", "he_normal.fill: who owns what", read("shaders/he_normal/fill.wgsl", "WORKGROUP_SIZE"), 1, 32, (0, 0,
          1, 16), [(0, 4, 1, 4)],
          ["Orange: the four weights that one invocation makes of the four",
                "words of one counter; blue: those of its workgroup."], 9, ("", "weights"))
    owner("mask", "mask.smallest: who owns what", read("shaders/mask/smallest.wgsl", "WORKGROUP_SIZE"), 3, 32, (0, 0, 3,
          16), [(0, 5, 3, 1)],
          ["Rows: rank, state, weight. Orange: what one invocation owns.",
                "It asks only whether its rank is below the number to be kept."], 9, ("", "weights"))
    owner("softmax_cross_entropy", "softmax_cross_entropy.loss: who owns what",
          read("shaders/softmax_cross_entropy/loss.wgsl", "WORKGROUP_SIZE"),
          16, 10, (0, 0, 16, 10), [(3, 0, 1, 10)],
          ["Blue: the batch of a replica, one workgroup. Orange: a sample,",
                "all its classes, one invocation. Losses meet in a tree of fixed shape."], 9, ("n", "classes"))
    stack = read("shaders/prelude/dense_layout.wgsl", "QUADS", "INPUTS", "SAMPLES")
    units, samples = 4 * stack[0][2], stack[2][2]
    owner("dense_stack", "dense_stack.step: who owns what", stack, samples, units, (0, 0, samples, units), [(4, 8, 4, 4),
          (20, 8, 4, 4)],
          [f"Blue: one layer's result, {samples} samples x {units} units. One workgroup",
                "owns all layers of a replica. Orange: tiles of 4 x 4 are dealt to",
                      "its invocations in turn; a barrier stands between layers."], 8, ("n", "k"))
    sweep = read("shaders/focus_sweep/evaluate.wgsl", "LANES")
    owner("focus_sweep", "focus_sweep.evaluate: who owns what", sweep, 6, 32, (0, 0, 1, 32), [(0, 4, 1, 4)],
          [f"A row is a mask of one replica. Blue: the images of a workgroup,",
                f"drawn as 32 of its {4 * sweep[0][2]}. Orange: the four images of one",
                      "invocation, through the focus layer and the output layer."], 9, ("", "images"))
    paths = read("shaders/prelude/sweep.wgsl", "LANES", "MOST")
    owner("surgeon", "surgeon.path: who owns what", paths, 31, 31, (0, 0, 31, 31), [(7, 0, 1, 31)],
          [f"Blue: a unit's matrix H, up to {paths[1][2]} columns, here 31, in the memory of",
                f"a workgroup of {paths[0][2]}. Orange: a row is a lane's. At each removal all",
                      "lanes read the pivot's row, then change their own."], 8, ("i", "j"))


primer()
lessons()
