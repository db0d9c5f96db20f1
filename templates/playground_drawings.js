// Charts and pictures of layers.

function vector(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// At most about `most` round numbers from `low` to `high`.
function ticks(low, high, most) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= rough);
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) found.push(place * step);
  return { step, found };
}

const DIGITS = (step) => Math.max(0, -Math.floor(Math.log10(step) + 1e-9));

// Draws lines `{ colour, width, points: [[x, y], ..], dots }` into a place, on axes from and to the given numbers. `level` is
// a dashed line with a name, `band` two heights that are shaded between, `mark` a point.
function drawChart(place, about, { x, y, lines, level, band, mark, falling }) {
  const [width, height] = [Math.max(place.clientWidth, 240), place.clientHeight];
  const [left, right, top, bottom] = [54, 18, 8, 38];
  const across = (value) => left + ((value - x.low) / (x.high - x.low || 1)) * (width - left - right);
  const share = (value) => (value - y.low) / (y.high - y.low || 1);
  const up = (value) => top + (falling ? share(value) : 1 - share(value)) * (height - top - bottom);
  const svg = vector("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": about });
  const line = (x1, y1, x2, y2, style) => svg.append(vector("line", { x1, y1, x2, y2, style }));
  const text = (x, y, words, anchor) => svg.append(vector("text", { x, y, "text-anchor": anchor }, words));
  if (band) {
    const [from, to] = band.map(up).sort((a, b) => a - b);
    svg.append(
      vector("rect", {
        x: left,
        y: from,
        width: width - left - right,
        height: Math.max(to - from, 1),
        style: "fill: var(--accent); opacity: .18",
      }),
    );
  }
  const columns = ticks(x.low, x.high, Math.max(3, width / 90));
  for (const value of columns.found) {
    line(across(value), top, across(value), height - bottom, "stroke: var(--line)");
    text(across(value), height - bottom + 16, value.toFixed(DIGITS(columns.step)), "middle");
  }
  const rows = ticks(y.low, y.high, Math.max(3, height / 36));
  for (const value of rows.found) {
    line(left, up(value), width - right, up(value), "stroke: var(--line)");
    text(left - 6, up(value) + 4, value.toFixed(DIGITS(rows.step)), "end");
  }
  text((left + width - right) / 2, height - 5, x.name, "middle");
  if (level) {
    line(left, up(level.value), width - right, up(level.value), "stroke: var(--quiet); stroke-dasharray: 6 4");
    text(width - right - 2, up(level.value) - 5, level.name, "end");
  }
  for (const { colour, width: thick = 2, points, dots } of lines) {
    const at = points.map(([x, y]) => [across(x), up(y)]);
    svg.append(
      vector("polyline", {
        points: at.map((pair) => pair.map((value) => value.toFixed(1)).join()).join(" "),
        style: `stroke: ${colour}; stroke-width: ${thick}; fill: none; stroke-linejoin: round`,
      }),
    );
    if (dots) for (const [cx, cy] of at) svg.append(vector("circle", { cx, cy, r: thick + 0.5, style: `fill: ${colour}` }));
  }
  if (mark) {
    line(across(mark.x), top, across(mark.x), height - bottom, "stroke: var(--ink); stroke-opacity: .5");
    svg.append(
      vector("circle", {
        cx: across(mark.x),
        cy: up(mark.y),
        r: 6,
        style: `fill: ${mark.colour}; stroke: var(--paper); stroke-width: 2`,
      }),
    );
  }
  place.replaceChildren(svg);
}

// Blue, white, orange.
const ENDS = [
  [0, 114, 178],
  [247, 247, 247],
  [213, 94, 0],
];

// The colour of a weight between minus and plus the largest.
function colourOf(weight, largest) {
  const share = Math.max(-1, Math.min(1, weight / (largest || 1)));
  const end = ENDS[share < 0 ? 0 : 2];
  return ENDS[1].map((middle, part) => Math.round(middle + (end[part] - middle) * Math.abs(share)));
}

// Paints weights `[row, column]` into a canvas, a pixel each; `removed` ones in their own colour.
function paint(canvas, weights, rows, columns, place, isRemoved = () => false) {
  const largest = weights.reduce((largest, weight) => Math.max(largest, Math.abs(weight)), 0);
  const removed = getComputedStyle(document.documentElement)
    .getPropertyValue("--removed")
    .match(/[0-9a-f]{2}/gi)
    .map((part) => parseInt(part, 16));
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  image.data.fill(0);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const index = row * columns + column;
      const [px, py] = place(row, column);
      image.data.set([...(isRemoved(index) ? removed : colourOf(weights[index], largest)), 255], 4 * (py * canvas.width + px));
    }
  }
  pen.putImageData(image, 0, 0);
}

// The loss of each step so far; as many points as the chart has room for, means of neighbours.
function drawLosses(place, losses, steps) {
  const group = Math.max(1, Math.ceil(steps / 400));
  const mean = (first) => {
    const part = losses.slice(first, first + group);
    return [first + part.length, part.reduce((a, b) => a + b, 0) / part.length];
  };
  const points = Array.from({ length: Math.ceil(losses.length / group) }, (_, place) => mean(place * group));
  const about = points.length
    ? `After ${losses.length} steps the loss is ${points.at(-1)[1].toPrecision(3)}`
    : "No step was trained yet";
  drawChart(place, about, {
    x: { low: 0, high: steps, name: group > 1 ? `step (means of ${group})` : "step" },
    y: { low: 0, high: 2.4 },
    lines: [{ colour: "var(--accent)", width: 1.5, points }],
  });
}

// Test images that were right after each epoch, and, behind them, those of another run.
function drawAccuracies(place, correct, others, plan) {
  const points = (numbers) => Array.from(numbers, (right, epoch) => [epoch + 1, (100 * right) / plan.test_images]);
  const last = correct.at(-1);
  const about =
    last === undefined ? "No epoch is complete yet" : `After epoch ${correct.length}: ${percent(last / plan.test_images)}`;
  drawChart(place, about, {
    x: { low: 1, high: plan.epochs, name: others.length ? "epoch (grey: the recorded run)" : "epoch" },
    y: { low: 50, high: 100 },
    lines: [
      { colour: "var(--quiet)", width: 1, points: points(others) },
      { colour: "var(--accent)", points: points(correct), dots: true },
    ],
  });
}
