// Tables of kernels and of measurements, and the file of a benchmark.

// A table of rows of cells, each begun by what it is about.
function tableOf(heads, rows) {
  const head = element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)));
  const cells = ([first, ...rest]) => [element("th", { scope: "row" }, first), ...rest.map((cell) => element("td", {}, cell))];
  const body = rows.map((row) => element("tr", {}, ...cells(row)));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

const RECORDINGS = [
  ["initial weights", "Initial weights: one launch for each layer"],
  ["training", "A training step"],
  ["evaluation", "Test images through the whole network"],
  ["rank", "Ranks of the history"],
  ["count", "Magnitude stability"],
  ["envelope", "Extremes over the last epochs"],
  ["sweep", "Pruned networks: the layers before once, then many masks at once"],
];

// Launches of a recording, those of the same kernel that follow each other together.
function grouped(program, label) {
  const groups = [];
  program.recordings[label].forEach(({ kernel, workgroups, operations, bytes }, place) => {
    if (groups.at(-1)?.kernel !== kernel) groups.push({ kernel, places: [], workgroups: 0, operations: 0, bytes: 0 });
    const group = groups.at(-1);
    group.places.push(place);
    group.workgroups += workgroups.reduce((product, count) => product * count);
    group.operations += operations;
    group.bytes += bytes;
  });
  return groups;
}

// Tables of all kernels; `times` has the milliseconds of a launch by recording and place.
function drawKernels(parent, program, times) {
  parent.replaceChildren(
    ...RECORDINGS.map(([label, title]) => {
      const source = element("pre", { tabindex: "0", hidden: "" });
      const rows = grouped(program, label).map(({ kernel, places, workgroups, operations, bytes }) => {
        // A long name may go on in another line after a dot or a stroke.
        const parts = kernel.split(/(?<=[._])/).flatMap((part) => [part, element("wbr")]);
        const name = element("button", { type: "button", "aria-expanded": "false" }, ...parts);
        name.addEventListener("click", () => {
          const opens = name.getAttribute("aria-expanded") === "false";
          for (const other of source.parentElement.querySelectorAll("button")) other.setAttribute("aria-expanded", "false");
          name.setAttribute("aria-expanded", String(opens));
          source.textContent = program.kernels[kernel].source;
          source.setAttribute("aria-label", `WGSL of ${kernel}`);
          source.hidden = !opens;
        });
        const known = places.map((place) => times.get(`${label} ${place}`)).filter((time) => time !== undefined);
        const time = known.length === places.length ? known.reduce((a, b) => a + b) : null;
        const shown = time === null ? "–" : time < 0.0005 ? "< 0.001" : shortNumber(time);
        const rate = (units) => (time && units ? shortNumber(units / time / 1e6) : "–");
        const together = element("span", {}, name, places.length > 1 ? ` × ${places.length}` : "");
        return [together, workgroups, shown, rate(operations), rate(bytes)];
      });
      const table = tableOf(["kernel", "workgroups", "ms", "Gop/s", "GB/s"], rows);
      return element("div", {}, element("h3", {}, title), element("div", { class: "scroll" }, table), source);
    }),
  );
}

// Three digits, or all of a whole number.
const shortNumber = (value) => (value < 1000 ? value.toPrecision(3) : Math.round(value).toLocaleString("en"));

// Median, fastest and slowest of what was measured.
function measuredTable(quantities) {
  const rows = quantities.map(({ title, unit, samples }) => {
    const sorted = [...samples].sort((a, b) => a - b);
    const times = [sorted[Math.floor(sorted.length / 2)], sorted[0], sorted.at(-1)];
    return [`${title}, ${unit}`, ...times.map(shortNumber)];
  });
  return tableOf(["what", "median", "fastest", "slowest"], rows);
}

const quantitiesOf = (plan, { step_us, sweep_us_per_point }) => [
  { name: "step_us", title: "training step", unit: "µs", samples: step_us },
  {
    name: "sweep_us_per_point",
    title: "sweep",
    unit: `µs on ${plan.test_images} images`,
    samples: sweep_us_per_point,
  },
];

// What a browser tells of its machine: Chromium names the processor's architecture and the system's version if it is asked.
async function machine() {
  const asked = ["architecture", "bitness", "platformVersion"];
  const { architecture, bitness, platform, platformVersion } = (await navigator.userAgentData?.getHighEntropyValues(asked)) ?? {};
  return {
    processor: architecture ? [architecture, bitness && `${bitness} bits`].filter(Boolean).join(", ") : "unknown",
    family: "unknown",
    simd: "unknown",
    cores: null,
    threads: navigator.hardwareConcurrency ?? 1,
    caches: {},
    memory: 2 ** 30 * (navigator.deviceMemory ?? 0),
    system: [platform, platformVersion, navigator.userAgent].filter(Boolean).join("; "),
    kernel: "unknown",
  };
}

// What `holdfast bench --save` would write (its format is version 1), as far as a browser tells: it says nothing of the load.
async function benchFile({ network, plan, version }, { name, kind, driver }, found) {
  const dense = network.tensors.filter(({ shape }) => shape.length === 2);
  return {
    format: "holdfast bench",
    format_version: 1,
    date: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    fingerprint: { ...(await machine()), driver, version, commit: "unknown", debug: false },
    device: { name, kind, backend: "webgpu", driver, variant: "wgsl-stacked" },
    certificate: null,
    settings: {
      model: "dnn",
      replicates: 1,
      batch: plan.batch,
      side: network.height,
      hidden: dense.slice(0, -1).map(({ shape }) => shape[1]),
      bias: true,
      filters: null,
      threads: null,
    },
    quantities: quantitiesOf(plan, found),
  };
}
