// The slider of a page: one operating point of one replica, its accuracy among all others, and the focus layer behind it.
// Each element with `data-of="layer"` holds its numbers as JSON (src/report/explorer.rs says what they are).
(() => {
  const NAMES = {
    stability: "Magnitude stability",
    settle: "Settling tolerance",
    hold: "Holding magnitude",
    "hold-input": "Holding magnitude × input norm",
    magnitude: "One-shot magnitude",
    "magnitude-frozen-first": "One-shot magnitude, frozen first",
    random: "Random",
    wanda: "Wanda (magnitude × input norm)",
    "decay-sequential": "Exponential decay (retrains)",
    "decay-batched": "Exponential decay, batched (retrains)",
  };
  // As in the figures.
  const COLOURS = {
    stability: "var(--blue)",
    settle: "var(--olive)",
    hold: "var(--red)",
    "hold-input": "var(--purple)",
    magnitude: "var(--ink)",
    "magnitude-frozen-first": "var(--gray)",
    random: "var(--quiet)",
    wanda: "var(--green)",
    "decay-sequential": "var(--brown)",
    "decay-batched": "var(--brown)",
  };
  const STATES = { kept: "#0072b2", cut: "#f0f0f0", "frozen, kept": "#e69f00", "frozen, cut": "#000000" };
  const SEQUENTIAL = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];
  const DIVERGING = ["#0072b2", "#f7f7f7", "#d55e00"];
  // Pixels of a canvas for each weight.
  const CELL = 12;
  // What the slider begins near: share of zero weights, and the paper's tolerance.
  const START = 0.8;
  const TOLERANCE = 0.03;
  // Points of magnitude stability further apart than this share of the weights are not joined: nothing lies between them.
  const WIDEST_GAP = 0.05;

  const retrains = (method) => method.startsWith("decay-");
  const plain = (value) => (value === null ? "infinite" : String(Number(value.toPrecision(3))));

  function vector(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // The colour at a share 0 to 1 of the way along some colours.
  function colourAt(colours, share) {
    const place = Math.min(Math.max(share, 0), 1) * (colours.length - 1);
    const first = Math.min(Math.floor(place), colours.length - 2);
    const part = (colour, at) => parseInt(colour.slice(1 + 2 * at, 3 + 2 * at), 16);
    const mixed = (at) =>
      Math.round(part(colours[first], at) * (1 - place + first) + part(colours[first + 1], at) * (place - first));
    return `rgb(${mixed(0)}, ${mixed(1)}, ${mixed(2)})`;
  }

  // A picture of the layer, a row for each input and a column for each unit, with a scale below.
  function panel(parent, inputs, units) {
    const caption = element("figcaption");
    const canvas = element("canvas", { width: units * CELL, height: inputs * CELL, role: "img", tabindex: "0" });
    const scale = element("div");
    parent.append(element("figure", {}, caption, canvas, scale));
    return { caption, canvas, scale };
  }

  function drawPanel({ caption, canvas, scale }, title, about, colours, chosen, units, scaleParts) {
    caption.textContent = title;
    canvas.setAttribute("aria-label", `${title}: ${about}`);
    const pen = canvas.getContext("2d");
    colours.forEach((colour, weightIndex) => {
      pen.fillStyle = colour;
      pen.fillRect((weightIndex % units) * CELL, Math.floor(weightIndex / units) * CELL, CELL, CELL);
    });
    if (chosen !== null) {
      const [x, y] = [(chosen % units) * CELL, Math.floor(chosen / units) * CELL];
      pen.lineWidth = 2;
      pen.strokeStyle = "#000";
      pen.strokeRect(x - 1, y - 1, CELL + 2, CELL + 2);
      pen.strokeStyle = "#fff";
      pen.strokeRect(x - 3, y - 3, CELL + 6, CELL + 6);
    }
    scale.replaceChildren(...scaleParts);
  }

  function drawHeat(place, title, values, colours, [low, high], toScale, chosen, units) {
    const [from, to] = [toScale(low), toScale(high)];
    const share = (value) => (value === null ? 1 : to > from ? (toScale(value) - from) / (to - from) : 0);
    const bar = element("div", { class: "bar", style: `background: linear-gradient(to right, ${colours.join()})` });
    const ends = element("div", { class: "ends" }, element("span", {}, plain(low)), element("span", {}, plain(high)));
    const about = `${plain(low)} to ${plain(high)}`;
    drawPanel(place, title, about, values.map((value) => colourAt(colours, share(value))), chosen, units, [bar, ends]);
  }

  // For each weight whether an operating point removes it; null where the file does not tell.
  function removal(data, replica, series, index) {
    const weightCount = data.weight_count;
    if (series.method === "stability") {
      const counts = replica.stability[data.tolerances.indexOf(series.tolerance)];
      return counts.map((count) => count < series.threshold[index]);
    }
    const window = data.windows.indexOf(series.window);
    let order = {
      settle: replica.settling_order[window],
      hold: replica.holding_order[window],
      magnitude: replica.magnitude_order,
      "magnitude-frozen-first": replica.magnitude_order,
    }[series.method];
    if (!order) return null;
    if (series.rule === "frozen-first" || series.method === "magnitude-frozen-first") {
      const frozen = new Set(replica.frozen);
      order = [...order.filter((weightIndex) => frozen.has(weightIndex)), ...order.filter((weightIndex) => !frozen.has(weightIndex))];
    }
    const removed = new Set(order.slice(0, weightCount - series.nonzero[index]));
    return replica.weights.map((_, weightIndex) => removed.has(weightIndex));
  }

  // Accuracy against sparsity: the chosen series, the others behind it, and the chosen point.
  function drawChart(svg, data, replica, shown, chosen, index) {
    const weightCount = data.weight_count;
    const [width, height] = [Math.max(svg.parentElement.clientWidth, 280), 340];
    const [left, right, top, bottom] = [58, 12, 14, 48];
    const x = (share) => left + share * (width - left - right);
    const y = (share) => height - bottom - share * (height - top - bottom);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    const line = (x1, y1, x2, y2, style) => svg.append(vector("line", { x1, y1, x2, y2, style }));
    const text = (x, y, words, anchor, more = {}) =>
      svg.append(vector("text", { x, y, "text-anchor": anchor, ...more }, words));
    for (let tick = 0; tick <= 5; tick += 1) {
      const share = tick / 5;
      line(x(share), y(0), x(share), y(1), "stroke: var(--line)");
      line(x(0), y(share), x(1), y(share), "stroke: var(--line)");
      text(x(share), y(0) + 18, String(20 * tick), "middle");
      text(x(0) - 8, y(share) + 4, String(20 * tick), "end");
    }
    text((left + width - right) / 2, height - 8, "Zero weights in the focus layer (%)", "middle");
    const turned = { transform: `rotate(-90 14 ${y(0.5)})` };
    text(14, y(0.5), `${data.judged} accuracy (%)`, "middle", turned);
    const level = (share, name, dash) => {
      line(x(0), y(share), x(1), y(share), `stroke: var(--quiet); stroke-dasharray: ${dash}`);
      text(x(0) + 4, y(share) - 4, name, "start");
    };
    level(data.chance, `chance ${percent(data.chance)}`, "2 3");
    if (replica.dense !== null) {
      line(x(0), y(replica.dense), x(1), y(replica.dense), "stroke: var(--quiet); stroke-dasharray: 9 4");
    }
    const place = (series, point) => [x(1 - series.nonzero[point] / weightCount), y(series.accuracy[point])];
    for (const series of [...shown.filter((series) => series !== chosen), chosen]) {
      const front = series === chosen;
      const points = series.nonzero.map((_, point) => place(series, point));
      const style = `stroke: ${COLOURS[series.method]}; stroke-width: ${front ? 3 : 1.4}; fill: none`;
      const scattered = retrains(series.method) || series.method === "stability";
      if (scattered) {
        for (const [cx, cy] of points) {
          svg.append(vector("circle", { cx, cy, r: front ? 4 : 3, style: `fill: ${COLOURS[series.method]}` }));
        }
      }
      if (retrains(series.method)) continue;
      const segments = [[]];
      points.forEach((point, index) => {
        const gap = index === 0 ? 0 : (series.nonzero[index - 1] - series.nonzero[index]) / weightCount;
        if (scattered && gap > WIDEST_GAP) segments.push([]);
        segments.at(-1).push(point.join());
      });
      for (const segment of segments) svg.append(vector("polyline", { points: segment.join(" "), style }));
    }
    const [cx, cy] = place(chosen, index);
    line(cx, y(0), cx, y(1), "stroke: var(--ink); stroke-opacity: 0.5");
    svg.append(
      vector("circle", { cx, cy, r: 7, style: `fill: ${COLOURS[chosen.method]}; stroke: var(--paper); stroke-width: 2` }),
    );
    const at = `${percent(1 - chosen.nonzero[index] / weightCount)} zero weights`;
    svg.setAttribute("aria-label", `Accuracy by sparsity; at ${at} it is ${percent(chosen.accuracy[index])}`);
    return (clientX) => (clientX - svg.getBoundingClientRect().left - left) / (width - left - right);
  }

  function explore(place, data) {
    const { inputs, units } = data;
    const pictured = data.replicas[0].weights.length > 0;
    const explained = pictured
      ? "Row: unit of the layer before. Column: unit of this layer."
      : `A picture of its ${data.weight_count.toLocaleString("en")} weights has no room on this page.`;
    const controls = element("div", { class: "controls" });
    const criteria = [];
    for (const { method, rule } of data.replicas[0].series) {
      const known = criteria.some(([, one]) => one.method === method && one.rule === rule);
      const text = rule ? `${NAMES[method]}, ${rule.replace("-", " ")}` : NAMES[method];
      if (!known && !retrains(method)) criteria.push([text, { method, rule }]);
    }
    const criterion = chooser("Criterion", criteria, controls);
    const first = criteria.findIndex(([, one]) => one.method === "hold" && one.rule === data.headline_rule);
    criterion.select.value = Math.max(first, 0);
    const tolerance = chooser("Tolerance (stability)", data.tolerances.map((one) => [percent(one), one]), controls);
    tolerance.select.value = Math.max(data.tolerances.indexOf(TOLERANCE), 0);
    const window_ = chooser("Window in epochs (τ, h)", data.windows.map((one) => [String(one), one]), controls);
    window_.select.value = Math.max(data.windows.indexOf(data.headline_window), 0);
    const replica_ = chooser("Replica", data.replicas.map((_, index) => [String(index), index]), controls);

    const slider = element("input", { type: "range", min: "0", step: "1" });
    const sliderName = element("span");
    const found = element("dl", { class: "found" });
    const boxes = {
      accuracy: box(found, "accuracy", `${data.judged} accuracy`),
      change: box(found, "change", "Against the net unpruned"),
      sparsity: box(found, "sparsity", "Zero weights"),
      compression: box(found, "compression", "Compression of the model"),
      setting: box(found, "setting", ""),
      frozen: box(found, "frozen", "Frozen weights"),
    };
    const svg = vector("svg", { role: "img" });
    const chart = element("div", {}, svg);
    const keys = element("div", { class: "key" });
    const panels = element("div", { class: "panels" });
    const [weights, states, stability, settling, holding] = Array.from({ length: 5 }, () => panel(panels, inputs, units));
    const told = element("p", { class: "quiet", "aria-live": "polite" });
    place.append(
      controls,
      element("label", { class: "slider" }, sliderName, slider),
      found,
      chart,
      keys,
      element("h4", {}, "The focus layer"),
      element("p", { class: "quiet" }, explained + leftOut(data.replicas.length, data.replicates)),
    );
    if (pictured) place.append(panels, told);

    let weightIndex = null;
    let series = null;
    let toShare = null;
    const replica = () => data.replicas[replica_.value()];
    const same = (one, { method, rule }) => one.method === method && one.rule === rule;
    const atSettings = (one) =>
      (one.tolerance === null || one.tolerance === tolerance.value()) &&
      (one.window === null || one.window === window_.value());
    const sparsity = (index) => 1 - series.nonzero[index] / data.weight_count;
    const nearest = (share) => {
      const distances = series.nonzero.map((_, index) => Math.abs(sparsity(index) - share));
      return distances.indexOf(Math.min(...distances));
    };

    // Another curve: the slider stays as near as it can to the sparsity that it showed.
    function choose() {
      const share = series === null ? START : sparsity(Number(slider.value));
      series = replica().series.find((one) => same(one, criterion.value()) && atSettings(one));
      slider.max = series.nonzero.length - 1;
      slider.value = nearest(share);
      sliderName.textContent = series.method === "stability" ? "Least stability of a weight that stays (epochs)" : "Zero weights";
      draw();
    }

    function draw() {
      const own = replica();
      const index = Number(slider.value);
      const weightCount = data.weight_count;
      const threshold = series.threshold[index];
      const zero = weightCount - series.nonzero[index];
      boxes.accuracy.value.textContent = percent(series.accuracy[index]);
      const change = own.dense === null ? null : 100 * (series.accuracy[index] - own.dense);
      boxes.change.value.textContent = change === null ? "–" : `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)} points`;
      boxes.sparsity.value.textContent = `${percent(zero / weightCount)} (${zero} of ${weightCount})`;
      boxes.compression.value.textContent = `${series.compression[index].toFixed(3)}×`;
      const [head, setting] =
        threshold !== undefined
          ? ["Threshold", `${threshold} of ${data.epochs} epochs`]
          : series.window !== null
            ? ["Window", `${series.window} of ${data.epochs} epochs`]
            : ["Setting", "none"];
      boxes.setting.head.textContent = head;
      boxes.setting.value.textContent = setting;
      boxes.frozen.value.textContent = pictured ? String(own.frozen.length) : "–";
      const words = threshold === undefined ? "" : `threshold ${threshold} epochs, `;
      slider.setAttribute("aria-valuetext", `${words}${percent(zero / weightCount)} zero weights, accuracy ${percent(series.accuracy[index])}`);

      const shown = own.series.filter(
        (one) => atSettings(one) && (one.rule === "" || one.rule === data.headline_rule || retrains(one.method)),
      );
      if (!shown.includes(series)) shown.push(series);
      toShare = drawChart(svg, data, own, shown, series, index);
      const methods = [...new Set(shown.map((one) => one.method))];
      keys.replaceChildren(...methods.map((method) => key(COLOURS[method], NAMES[method])), "dashes: before pruning; dots: chance");
      drawLayer(own, index);
    }

    function drawLayer(own, index) {
      if (!pictured) return;
      const [at, last] = [data.tolerances.indexOf(tolerance.value()), data.windows.indexOf(window_.value())];
      const most = Math.max(...own.weights.map(Math.abs));
      drawHeat(weights, "Reference weights", own.weights, DIVERGING, [-most, most], (value) => value, weightIndex, units);
      const cut = removal(data, own, series, index);
      const frozen = new Set(own.frozen);
      const state = (one) => (frozen.has(one) ? "frozen, " : "") + (cut[one] ? "cut" : "kept");
      const colours = own.weights.map((_, one) => (cut === null ? "#888888" : STATES[state(one)]));
      const legend = Object.entries(STATES).map(([name, colour]) => key(colour, name));
      const about = cut === null ? "not in this file" : `${cut.filter(Boolean).length} cut, ${frozen.size} frozen`;
      const below = cut === null ? ["Which weights go at random is not in this file."] : legend;
      drawPanel(states, "Kept, cut and frozen", about, colours, weightIndex, units, [element("div", { class: "key" }, ...below)]);
      const counted = own.stability[at];
      const tolerated = `Magnitude stability in epochs, tolerance ${percent(tolerance.value())} (logarithmic)`;
      drawHeat(stability, tolerated, counted, SEQUENTIAL, [1, data.epochs], Math.log, weightIndex, units);
      const window = `window ${window_.value()} epochs`;
      const tau = own.settling[last];
      const moved = tau.filter((value) => value > 0);
      const range = moved.length ? [moved.reduce((a, b) => Math.min(a, b)), moved.reduce((a, b) => Math.max(a, b))] : [1, 1];
      const title = `Settling tolerance τ, ${window} (logarithmic)`;
      drawHeat(settling, title, tau, SEQUENTIAL, range, (value) => Math.log(Math.max(value, range[0])), weightIndex, units);
      const held = own.holding[last];
      drawHeat(holding, `Holding magnitude h, ${window}`, held, SEQUENTIAL, [0, Math.max(...held)], (value) => value, weightIndex, units);
      told.textContent =
        weightIndex === null
          ? "Point at a weight, or go there with the arrow keys, to read its numbers."
          : `Weight from unit ${Math.floor(weightIndex / units)} to unit ${weightIndex % units}: ${plain(own.weights[weightIndex])}, stability ` +
            `${counted[weightIndex]} epochs, τ ${plain(tau[weightIndex])}, h ${plain(held[weightIndex])}` +
            (cut === null ? "." : `; ${state(weightIndex)}.`);
    }

    for (const { select } of [criterion, tolerance, window_, replica_]) select.addEventListener("change", choose);
    slider.addEventListener("input", draw);
    chart.addEventListener("click", (event) => {
      slider.value = nearest(toShare(event.clientX));
      draw();
    });
    for (const { canvas } of [weights, states, stability, settling, holding]) {
      canvas.addEventListener("pointermove", (event) => {
        const sides = canvas.getBoundingClientRect();
        const cell = (place, size, cells) => Math.min(Math.max(Math.floor((place / size) * cells), 0), cells - 1);
        const [row, column] = [
          cell(event.clientY - sides.top, sides.height, inputs),
          cell(event.clientX - sides.left, sides.width, units),
        ];
        weightIndex = row * units + column;
        drawLayer(replica(), Number(slider.value));
      });
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -units, ArrowDown: units }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        const next = weightIndex === null ? 0 : weightIndex + step;
        weightIndex = next >= 0 && next < inputs * units ? next : weightIndex;
        drawLayer(replica(), Number(slider.value));
      });
    }
    choose();
    new ResizeObserver(draw).observe(chart);
  }

  for (const place of document.querySelectorAll('.explorer[data-of="layer"]')) {
    explore(place, JSON.parse(place.querySelector("script").textContent));
  }
})();
