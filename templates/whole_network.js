// The second slider of a page: the whole network at one size, a picture of every layer, and how well each method does there.
// Each element with `data-of="network"` holds its numbers as JSON (src/report/whole_network.rs says what they are).
(() => {
  const [KEPT, REMOVED] = [
    [0, 114, 178],
    [240, 240, 240],
  ];
  // Width and height of a weight, and the most height of a picture, in CSS pixels.
  const CELL = 5;
  const TALLEST = 320;
  // Most sizes that are written below the slider.
  const MARKS = 12;
  // The character that stands for a count of 0.
  const ZERO = "0".charCodeAt(0);

  const whole = (number) => number.toLocaleString("en");
  const rgb = (colour) => `rgb(${colour.join()})`;
  const times = (size) => `${size}× smaller`;

  // The picture of a layer with its words: a column for each input, a row for each unit.
  function layer({ name, inputs, units }, parent) {
    const [width, height] = [inputs * CELL, Math.min(units * CELL, TALLEST)];
    const canvas = element("canvas", { role: "img", style: `width: min(100%, ${width}px); height: ${height}px` });
    const kept = element("span");
    const caption = element("figcaption", {}, element("strong", {}, name), ` ${whole(inputs)}\u00a0×\u00a0${whole(units)}`, kept);
    parent.append(element("figure", { style: `width: max(9.5rem, ${width + 2}px)` }, caption, canvas));
    return { canvas, kept };
  }

  // Draws which weights are there at the size at `step` (0: before any cut). Where a screen has fewer pixels than a layer has
  // weights, a pixel shows the share that is there of several.
  function draw(canvas, tensor, counts, step) {
    const [inputs, units] = [Math.ceil(tensor.inputs / tensor.step), tensor.units];
    const room = (length) => Math.max(length * (window.devicePixelRatio || 1), 1);
    const [across, down] = [
      Math.ceil(inputs / room(canvas.clientWidth)),
      Math.ceil(units / room(canvas.clientHeight)),
    ];
    const [columns, rows] = [Math.ceil(inputs / across), Math.ceil(units / down)];
    const [kept, all] = [new Uint32Array(columns * rows), new Uint32Array(columns * rows)];
    for (let input = 0; input < inputs; input += 1) {
      for (let unit = 0; unit < units; unit += 1) {
        const place = Math.floor(unit / down) * columns + Math.floor(input / across);
        const stays = counts.charCodeAt(input * units + unit) - ZERO >= step ? 1 : 0;
        kept[place] += stays;
        all[place] += 1;
      }
    }
    [canvas.width, canvas.height] = [columns, rows];
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(columns, rows);
    kept.forEach((stays, place) => {
      const share = stays / all[place];
      const mixed = KEPT.map((part, at) => Math.round(share * part + (1 - share) * REMOVED[at]));
      image.data.set([...mixed, 255], 4 * place);
    });
    pen.putImageData(image, 0, 0);
  }

  function show(place, data) {
    const sizes = [1, ...data.sizes];
    const weights = data.tensors.reduce((sum, { inputs, units }) => sum + inputs * units, 0);
    const controls = element("div", { class: "controls" });
    const replica = chooser("Replica", data.replicas.map((_, index) => [String(index), index]), controls);
    const slider = element("input", { type: "range", min: "0", max: String(sizes.length - 1), step: "1" });
    slider.value = String(Math.min(1, sizes.length - 1));
    const found = element("dl", { class: "found" });
    const boxes = {
      size: box(found, "size", "Size"),
      kept: box(found, "kept", "Weights that stay"),
      accuracy: box(found, "accuracy", `${data.judged} accuracy of this replica`),
    };
    const marks = sizes.length <= MARKS ? sizes : [sizes[0], sizes.at(-1)];
    const pictured = data.methods[data.pictured];
    const by = pictured === undefined ? "" : ` Chosen by ${pictured.label}.`;
    const pictures = element("div", { class: "layers" });
    const layers = data.tensors.map((tensor) => layer(tensor, pictures));
    const head = element("th", { scope: "col" });
    const lines = data.methods.map(({ label }, index) => {
      const words = index === data.pictured ? element("strong", {}, label) : label;
      const text = element("td");
      return { row: element("tr", {}, element("th", { scope: "row" }, words), text), text };
    });
    const table = element(
      "table",
      {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "method"), head)),
      element("tbody", {}, ...lines.map(({ row }) => row)),
    );
    const compact = element("p", {});
    place.append(
      controls,
      element("label", { class: "slider" }, "How many times smaller the whole network is", slider),
      element("div", { class: "ends", "aria-hidden": "true" }, ...marks.map((size) => element("span", {}, `${size}×`))),
      found,
      element("div", { class: "beside" },
        element("div", {},
          element("h4", {}, "Every layer"),
          element("p", { class: "quiet" }, `Column: input. Row: unit.${by}${leftOut(data.replicas.length, data.replicates)}`),
          element("div", { class: "key" }, key(rgb(KEPT), "stays"), key(rgb(REMOVED), "removed")),
          pictures,
        ),
        element("div", {},
          element("h4", {}, "Every method"),
          element("p", { class: "quiet" }, `${data.judged} accuracy in per cent, mean ± sd over replicas.`),
          element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Every method" }, table),
          compact,
        ),
      ),
    );

    function update() {
      const step = Number(slider.value);
      const own = data.replicas[replica.value()];
      const size = sizes[step];
      let kept = 0;
      layers.forEach(({ canvas, kept: words }, index) => {
        const tensor = data.tensors[index];
        const all = tensor.inputs * tensor.units;
        const stays = own.kept[index][step];
        draw(canvas, tensor, own.counts[index], step);
        words.textContent = `${whole(stays)} of ${whole(all)} (${((100 * stays) / all).toFixed(1)} %)`;
        canvas.setAttribute("aria-label", `${tensor.name}, network ${times(size)}: ${words.textContent} weights stay`);
        kept += stays;
      });
      const accuracy = own.accuracy[step];
      const told = accuracy === undefined ? "–" : percent(accuracy);
      boxes.size.value.textContent = step === 0 ? "1× (nothing removed)" : times(size);
      boxes.kept.value.textContent = `${whole(kept)} of ${whole(weights)}`;
      boxes.accuracy.value.textContent = told;
      head.textContent = times(size);
      const small = data.compact[step];
      compact.textContent =
        small === undefined || small === "–" ? "" : `Replica 0 with nothing stored that nobody reads (holdfast compact): ${small}.`;
      lines.forEach(({ text }, index) => (text.textContent = data.methods[index].texts[step]));
      const words = step === 0 ? "Nothing removed" : times(size);
      slider.setAttribute("aria-valuetext", `${words}, ${whole(kept)} weights stay, accuracy ${told}`);
    }

    replica.select.addEventListener("change", update);
    slider.addEventListener("input", update);
    update();
    // Setting the size of a canvas in its own pixels does not change the size that it is shown in.
    new ResizeObserver(update).observe(pictures);
  }

  for (const place of document.querySelectorAll('.explorer[data-of="network"]')) {
    show(place, JSON.parse(place.querySelector("script").textContent));
  }
})();
