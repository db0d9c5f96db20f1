// From what a run recorded to which weights go, as src/pruning has it. A run has `history` [epoch, weight], `stability`
// [tolerance, weight], and `minimum`, `maximum` and `smallest_magnitude` [window, weight].

const CRITERIA = [
  {
    method: "hold",
    name: "Holding magnitude",
    colour: "#d55e00",
    about: "removes the weights whose smallest magnitude in the last epochs was smallest",
  },
  {
    method: "settle",
    name: "Settling tolerance",
    colour: "#009e73",
    about: "removes the weights that moved most in the last epochs, for their size",
  },
  {
    method: "stability",
    name: "Magnitude stability",
    colour: "#0072b2",
    about: "removes the weights that kept their value for the fewest last epochs (Riedel & Segev)",
  },
  {
    method: "magnitude",
    name: "Magnitude",
    colour: "#cc79a7",
    about: "removes the smallest weights of the last epoch",
  },
  { method: "random", name: "Random", colour: "#8c8c8c", about: "removes weights by lot" },
];

// Indices of weights by descending score, ties by lower index.
const descending = (scores) => Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);

// The weights that did not change by one bit in the longest window.
function frozen(run, plan, weights) {
  const place = (plan.windows.length - 1) * weights;
  return (weight) => run.minimum[place + weight] === run.maximum[place + weight];
}

// The order in which a criterion removes weights; for settle and hold frozen ones go first.
function removalOrder(run, plan, method, setting) {
  const weights = run.history.length / plan.epochs;
  const last = run.history.subarray(run.history.length - weights);
  const own = (numbers) => numbers.subarray(setting * weights, (setting + 1) * weights);
  if (method === "random") return plan.random;
  if (method === "magnitude") return descending(last.map(Math.abs)).reverse();
  let order = null;
  if (method === "hold") {
    order = descending(own(run.smallest_magnitude)).reverse();
  } else {
    const [minimum, maximum] = [own(run.minimum), own(run.maximum)];
    const tolerance = (weight, index) => {
      const moved = Math.max(maximum[index] - weight, weight - minimum[index]);
      return moved === 0 ? 0 : moved / Math.abs(weight);
    };
    order = descending(Float64Array.from(last, tolerance));
  }
  const is = frozen(run, plan, weights);
  return [...order.filter(is), ...order.filter((weight) => !is(weight))];
}

// All points of a criterion at a setting, denser to sparser: for each weight 1 if it is kept.
function points(run, plan, method, setting) {
  const weights = run.history.length / plan.epochs;
  if (method === "stability") {
    const counts = run.stability.subarray(setting * weights, (setting + 1) * weights);
    return Array.from({ length: plan.epochs }, (_, epoch) => Uint8Array.from(counts, (count) => (count >= epoch + 1 ? 1 : 0)));
  }
  const order = removalOrder(run, plan, method, setting);
  return Array.from({ length: 101 }, (_, percent) => {
    const kept = new Uint8Array(weights).fill(1);
    for (const weight of order.slice(0, Math.round((percent / 100) * weights))) kept[weight] = 0;
    return kept;
  });
}

const removedOf = (kept) => kept.reduce((removed, one) => removed + 1 - one, 0);

// A run as the page was made with it.
async function recordedRun({ device, correct, curves, ...packed }) {
  const floats = ["losses", "parameters", "history", "minimum", "maximum", "smallest_magnitude"];
  const run = { device, correct, curves: new Map(), masks: new Map() };
  for (const [name, text] of Object.entries(packed)) {
    run[name] = await unpack(text, floats.includes(name) ? Float32Array : Uint32Array);
  }
  for (const { method, setting, correct } of curves) run.curves.set(`${method} ${setting}`, Promise.resolve(correct));
  return run;
}

// The masks of all points of a criterion; made once.
function masksOf(own, plan, method, setting) {
  const name = `${method} ${setting}`;
  if (!own.masks.has(name)) own.masks.set(name, points(own, plan, method, setting));
  return own.masks.get(name);
}
