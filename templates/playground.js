// The page: what is trained, pruned and measured by the worker, and shown here.
(async () => {
  const at = (id) => document.getElementById(id);
  const contents = JSON.parse(at("contents").textContent);
  const { program, network, plan } = contents;
  const focus = network.tensors[network.focus];
  const [inputs, units] = focus.shape;
  const weights = inputs * units;
  const steps = (plan.epochs * plan.training_images) / plan.batch;
  const say = (words) => {
    at("progress").textContent = words;
  };

  // The recorded run is shown until the page has one of its own.
  const recorded = await recordedRun(contents.recorded);
  // The run whose training is shown, and the last complete one, whose weights are pruned.
  let run = recorded;
  let complete = recorded;
  let chosen = null;
  // The GPU, once it is known.
  let device = null;
  const times = new Map();

  // ---- The worker -------------------------------------------------------------------------------------------------------

  const worker = new Worker(URL.createObjectURL(new Blob([at("worker").textContent], { type: "text/javascript" })));
  const waiting = new Map();
  let asked = 0;

  // Asks the worker to do something; `told` hears of what is done on the way.
  function ask(what, question = {}, told = () => {}) {
    asked += 1;
    const id = asked;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject, told });
      worker.postMessage({ id, what, ...question });
    });
  }

  worker.onmessage = ({ data: { id, part, answer, error, failed } }) => {
    if (failed) return unusable(`Something went wrong on the GPU: ${failed}. Load the page again to start anew.`);
    const { resolve, reject, told } = waiting.get(id);
    if (part) return told(part);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(answer);
  };
  worker.onerror = ({ message }) => unusable(`The page's script failed: ${message}.`);

  function unusable(words) {
    at("device").textContent = `${words} What follows is a recorded run.`;
    idle(false);
    [run, complete] = [recorded, recorded];
    for (const id of ["stop", "back", "bar"]) at(id).hidden = true;
    later(drawAll);
  }

  function idle(is) {
    for (const id of ["train", "times", "bench"]) at(id).disabled = !is;
    at("stop").hidden = is || !run.training;
  }

  // ---- Training ---------------------------------------------------------------------------------------------------------

  async function train() {
    run = { training: true, losses: [], correct: [], curves: new Map(), masks: new Map() };
    idle(false);
    at("back").hidden = true;
    at("bar").hidden = false;
    const start = performance.now();
    try {
      const found = await ask("train", {}, (part) => {
        if (part.losses) {
          run.losses.push(...part.losses);
          const seconds = (performance.now() - start) / 1000;
          say(
            `Epoch ${part.epoch + 1} of ${plan.epochs}: ${run.losses.length} of ${steps} steps, ` +
              `${Math.round(run.losses.length / seconds)} a second.`,
          );
          at("bar").value = run.losses.length / steps;
        } else {
          run.correct.push(part.correct);
          run.parameters = part.parameters;
        }
        later(drawTraining);
      });
      if (found.stopped) {
        say("Stopped. The run before is shown again.");
        run = complete;
      } else {
        complete = Object.assign(run, found);
        const seconds = (performance.now() - start) / 1000;
        say(
          `Trained in ${seconds.toFixed(1)} s: ${percent(run.correct.at(-1) / plan.test_images)} of the test images are right.`,
        );
      }
    } catch (error) {
      say(`Training failed: ${error.message}.`);
      run = complete;
    }
    at("bar").hidden = true;
    at("back").hidden = complete === recorded;
    run.training = false;
    idle(true);
    drawAll();
  }

  // ---- Pruning ----------------------------------------------------------------------------------------------------------

  const criterion = chooser(
    "Criterion",
    CRITERIA.map((one) => [one.name, one]),
    at("criteria"),
  );
  const tolerance = chooser(
    "Tolerance",
    plan.tolerances.map((one, place) => [`${100 * one} %`, place]),
    at("criteria"),
  );
  const window_ = chooser(
    "Last epochs looked at",
    plan.windows.map((one, place) => [String(one), place]),
    at("criteria"),
  );
  tolerance.select.value = 1;
  window_.select.value = 1;
  const boxes = {
    accuracy: box(at("found"), "accuracy", "Test images right"),
    change: box(at("found"), "change", "Against all weights"),
    removed: box(at("found"), "removed", "Weights removed"),
    setting: box(at("found"), "setting", "What goes first"),
  };

  const settingOf = ({ method }) => {
    if (method === "stability") return tolerance.value();
    return ["hold", "settle"].includes(method) ? window_.value() : 0;
  };

  // How many test images are right at each point of a criterion: from the record, or from this GPU; kept for the next time.
  function curve(own, { method }, setting) {
    const name = `${method} ${setting}`;
    if (!own.curves.has(name)) own.curves.set(name, sweep(own, method, setting));
    return own.curves.get(name);
  }

  // The same, measured on this GPU in any case.
  async function sweep(own, method, setting) {
    const masks = masksOf(own, plan, method, setting);
    const kept = new Uint8Array(masks.length * weights);
    masks.forEach((mask, place) => kept.set(mask, place * weights));
    return [...(await ask("sweep", { parameters: own.parameters, kept })).correct];
  }

  let drawing = 0;
  // The share of weights that the slider was moved to: another criterion begins as near to it as it can.
  let wanted = 0.8;

  async function drawPruning(event) {
    drawing += 1;
    const [mine, own, one] = [drawing, complete, criterion.value()];
    const setting = settingOf(one);
    tolerance.select.parentElement.hidden = one.method !== "stability";
    window_.select.parentElement.hidden = !["hold", "settle"].includes(one.method);
    const masks = masksOf(own, plan, one.method, setting);
    const shares = masks.map((mask) => removedOf(mask) / weights);
    at("size").max = masks.length - 1;
    if (event?.target === at("size")) {
      wanted = shares[at("size").value];
    } else {
      const distances = shares.map((share) => Math.abs(share - wanted));
      at("size").value = distances.indexOf(Math.min(...distances));
    }
    let found = [];
    try {
      found = await Promise.all(CRITERIA.map((other) => curve(own, other, settingOf(other))));
    } catch (error) {
      return unusable(`The pruned networks could not be evaluated: ${error.message}.`);
    }
    // Something else was asked for meanwhile.
    if (mine !== drawing) return;
    const place = Number(at("size").value);
    const accuracies = found[CRITERIA.indexOf(one)].map((right) => right / plan.test_images);
    const removed = removedOf(masks[place]);
    const accuracy = accuracies[place];
    const dense = complete.correct.at(-1) / plan.test_images;
    at("slider-name").textContent =
      one.method === "stability" ? "Epochs that a weight must have held its value" : "Weights removed";
    boxes.accuracy.value.textContent = percent(accuracy);
    const change = 100 * (accuracy - dense);
    boxes.change.value.textContent = `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)} points`;
    boxes.removed.value.textContent = `${removed} of ${weights} (${((100 * removed) / weights).toFixed(1)} %)`;
    boxes.setting.value.textContent = {
      stability: `held for under ${place + 1} epochs`,
      settle: "what moved most",
      hold: "what held least",
      magnitude: "what is smallest",
      random: "what is drawn",
    }[one.method];
    at("size").setAttribute("aria-valuetext", `${removed} of ${weights} weights removed, ${percent(accuracy)} right`);
    const lines = CRITERIA.map((other, index) => {
      const shares = masksOf(own, plan, other.method, settingOf(other)).map((mask) => (100 * removedOf(mask)) / weights);
      const line = shares.map((share, place) => [share, (100 * found[index][place]) / plan.test_images]);
      return {
        colour: other.colour,
        width: other === one ? 3.5 : 1.5,
        points: line,
        dots: other.method === "stability",
      };
    });
    lines.push(...lines.splice(CRITERIA.indexOf(one), 1));
    const told = `With ${removed} of ${weights} weights removed, ${percent(accuracy)} of the test images are right.`;
    const about = `${one.name} ${one.about}. ${told}`;
    drawChart(at("curve-chart"), about, {
      x: { low: 0, high: 100, name: "weights of the layer removed (%)" },
      y: { low: 0, high: 100 },
      lines,
      level: { value: 100 * dense, name: `nothing removed: ${percent(dense)}` },
      mark: { x: (100 * removed) / weights, y: 100 * accuracy, colour: one.colour },
    });
    at("keys").replaceChildren(...CRITERIA.map((other) => key(other.colour, other.name)));
    at("about").textContent = `${one.name} ${one.about}.`;
    drawFocus(masks[place]);
  }

  // ---- Layers -----------------------------------------------------------------------------------------------------------

  function tensor(own, index) {
    const { offset, shape } = network.tensors[index];
    return own.parameters.subarray(offset, offset + shape[0] * shape[1]);
  }

  // Pixels of the picture for each weight of the focus layer.
  const CELL = 14;
  let shownMask = new Uint8Array(weights).fill(1);

  // Each layer has weights and a bias.
  const nameOf = (index) => `Layer ${index / 2 + 1}${index + 2 === network.tensors.length ? ", the output" : ""}`;

  const pictures = network.tensors.map(({ shape }, index) => {
    if (shape.length !== 2 || index === network.focus) return null;
    const first = index === 0;
    const [rows, columns] = shape;
    // The first layer reads images: each of its units is shown as one.
    const across = first ? 10 : 1;
    const canvas = element("canvas", {
      role: "img",
      width: first ? across * (network.width + 1) - 1 : columns,
      height: first ? Math.ceil(columns / across) * (network.height + 1) - 1 : rows,
    });
    canvas.style.width = `${canvas.width * (first ? 2 : 5)}px`;
    const words = first ? `Layer 1: what each of its ${columns} units looks for` : nameOf(index);
    canvas.setAttribute("aria-label", `${words}, ${rows} inputs to ${columns} units`);
    at("layers").append(element("figure", {}, element("figcaption", {}, words), canvas));
    const place = (row, column) => {
      if (!first) return [column, row];
      const [x, y] = [row % network.width, Math.floor(row / network.width)];
      return [(column % across) * (network.width + 1) + x, Math.floor(column / across) * (network.height + 1) + y];
    };
    return () => paint(canvas, tensor(run, index), rows, columns, place);
  });

  const drawLayers = () => run.parameters && pictures.forEach((picture) => picture?.());

  function drawFocus(mask = shownMask) {
    shownMask = mask;
    const canvas = at("focus");
    [canvas.width, canvas.height] = [units * CELL, inputs * CELL];
    const small = new OffscreenCanvas(units, inputs);
    paint(
      small,
      tensor(complete, network.focus),
      inputs,
      units,
      (row, column) => [column, row],
      (weight) => !mask[weight],
    );
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
    at("focus-name").textContent = `${nameOf(network.focus)}, the last hidden one: a row for each input, a column for each unit`;
    canvas.setAttribute("aria-label", `${nameOf(network.focus)}: ${removedOf(mask)} of ${weights} weights are removed`);
    if (chosen !== null) {
      const [x, y] = [(chosen % units) * CELL, Math.floor(chosen / units) * CELL];
      for (const [grow, colour] of [
        [1, "#000"],
        [3, "#fff"],
      ]) {
        pen.lineWidth = 2;
        pen.strokeStyle = colour;
        pen.strokeRect(x - grow, y - grow, CELL + 2 * grow, CELL + 2 * grow);
      }
    }
    drawWeight(mask);
  }

  // What the chosen weight did.
  function drawWeight(mask) {
    if (chosen === null) return;
    const path = Array.from({ length: plan.epochs }, (_, epoch) => complete.history[epoch * weights + chosen]);
    const ranks = path.map((_, epoch) => complete.rank[epoch * weights + chosen] + 1);
    const last = path.at(-1);
    const place = tolerance.value();
    const held = complete.stability[place * weights + chosen];
    const least = complete.smallest_magnitude[window_.value() * weights + chosen];
    const [low, high] = [Math.min(...path), Math.max(...path)];
    const margin = plan.tolerances[place] * Math.abs(last);
    const share = `${100 * plan.tolerances[place]} %`;
    const words = [
      `From unit ${Math.floor(chosen / units)} to unit ${chosen % units}:`,
      `${last.toPrecision(3)} at the end, rank ${ranks.at(-1)} of ${weights}.`,
      `It stayed within ${share} of that for the last ${held} ${held === 1 ? "epoch" : "epochs"},`,
      `and its magnitude was never below ${least.toPrecision(3)} in the last ${plan.windows[window_.value()]}.`,
      `The slider ${mask[chosen] ? "keeps" : "removes"} it.`,
    ].join(" ");
    // What did not change is not read out again.
    if (at("weight").textContent !== words) at("weight").textContent = words;
    const x = { low: 1, high: plan.epochs, name: `epoch (shaded: within ${share} of the end)` };
    const pad = 0.08 * (high - low || 1);
    const line = (numbers) => [
      { colour: "var(--accent)", points: numbers.map((value, epoch) => [epoch + 1, value]), dots: true },
    ];
    drawChart(at("path-chart"), `The weight went from ${path[0].toPrecision(3)} to ${last.toPrecision(3)}`, {
      x,
      y: { low: low - pad, high: high + pad },
      lines: line(path),
      band: [last - margin, last + margin],
    });
    drawChart(at("rank-chart"), `Its rank went from ${ranks[0]} to ${ranks.at(-1)}`, {
      x: { ...x, name: "epoch" },
      y: { low: 1, high: weights },
      lines: line(ranks),
      falling: true,
    });
  }

  function choose(weight) {
    chosen = weight;
    drawFocus();
  }

  at("focus").addEventListener("click", (event) => {
    const { left, top, width, height } = at("focus").getBoundingClientRect();
    const column = Math.floor(((event.clientX - left) / width) * units);
    const row = Math.floor(((event.clientY - top) / height) * inputs);
    if (column >= 0 && column < units && row >= 0 && row < inputs) choose(row * units + column);
  });
  at("focus").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -units, ArrowDown: units }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = (chosen ?? 0) + step;
    choose(next >= 0 && next < weights ? next : (chosen ?? 0));
  });

  // ---- Kernels and measurements -----------------------------------------------------------------------------------------

  at("times").addEventListener("click", async () => {
    idle(false);
    try {
      await ask("times", {}, ({ label, place, milliseconds }) => times.set(`${label} ${place}`, milliseconds));
      drawKernels(at("kernels"), program, times);
    } catch (error) {
      at("device").textContent = `The kernels could not be timed: ${error.message}.`;
    }
    idle(true);
  });

  at("bench").addEventListener("click", async () => {
    idle(false);
    try {
      const found = await ask("benchmark", {}, ({ round, rounds }) => {
        at("measured").textContent = round ? `Measuring: round ${round} of ${rounds} …` : "Warming up …";
      });
      at("measured").replaceChildren(measuredTable(quantitiesOf(plan, found)));
      const file = new Blob([JSON.stringify(await benchFile(contents, device, found), null, 2) + "\n"], { type: "application/json" });
      at("save").href = URL.createObjectURL(file);
      at("save").hidden = false;
    } catch (error) {
      at("measured").textContent = `The measurement failed: ${error.message}.`;
    }
    idle(true);
  });

  // ---- Everything together ----------------------------------------------------------------------------------------------

  function drawTraining() {
    drawLosses(at("loss-chart"), run.losses, steps);
    drawAccuracies(at("accuracy-chart"), run.correct, run === recorded ? [] : recorded.correct, plan);
    drawLayers();
  }

  // Draws at the next frame, once, however often it is asked for.
  let waits = false;
  function later(draw) {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      draw();
    });
  }

  function drawAll() {
    drawTraining();
    drawPruning();
  }

  at("train").addEventListener("click", train);
  at("stop").addEventListener("click", () => worker.postMessage({ what: "stop" }));
  at("back").addEventListener("click", () => {
    run = recorded;
    complete = recorded;
    at("back").hidden = true;
    say("The recorded run is shown.");
    drawAll();
  });
  for (const place of [criterion.select, tolerance.select, window_.select]) place.addEventListener("change", drawPruning);
  at("size").addEventListener("input", drawPruning);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  new ResizeObserver(() => later(drawAll)).observe(at("curve-chart"));
  chosen = Math.floor(weights / 2) + Math.floor(units / 2);
  drawKernels(at("kernels"), program, times);
  drawAll();

  try {
    const found = await ask("open", {
      contents: { program, plan, network, images: contents.images, labels: contents.labels },
    });
    if (found.missing) {
      unusable(
        `No training here: ${found.missing}. Current versions of Chrome, Edge, Safari and Firefox have WebGPU on most machines.`,
      );
    } else {
      device = { name: found.name, kind: found.software ? "software" : "GPU", driver: found.driver };
      const slow = found.software ? " This is a driver in software: everything works, slowly." : "";
      at("device").textContent = `Ready: ${found.name}. Until you train, a recorded run is shown.${slow}`;
      idle(true);
    }
  } catch (error) {
    unusable(`WebGPU is here, but the kernels could not be prepared: ${error.message}.`);
  }
  // For those who want to look by hand, and for tests/browser.
  window.playground = { plan, recorded, ask, sweep, current: () => complete };
})().catch((error) => {
  document.getElementById("device").textContent = `This page does not run in this browser: ${error.message}.`;
});
