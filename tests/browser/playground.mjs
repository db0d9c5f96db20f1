// Trains and prunes on the page of `holdfast playground` in headless Chromium, and compares with what the CPU engine recorded
// in it. Not part of `.ci/run`.
//
//   npm install --no-save playwright-core && node tests/browser/playground.mjs PAGE [SCREENSHOT_FOLDER]
//
// PAGE is the file. The browser's WebGPU is SwiftShader, unless GPU=1 is set: then it is the machine's own. CHROMIUM names the
// browser if it is not /usr/bin/chromium.
import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [file, screenshots] = process.argv.slice(2);
assert(file, "usage: node tests/browser/playground.mjs PAGE [SCREENSHOT_FOLDER]");
assert(statSync(file).size < 6e6, "the page has 6 MB or more");

// Relative difference of a step's mean loss: what the checks allow engines in single precision (src/check/recorded.rs).
const LOSS_TOLERANCE = 1e-5;
const STEPS = 300;

const WEBGPU = [
  "--enable-unsafe-webgpu",
  ...(process.env.GPU ? ["--enable-features=Vulkan"] : ["--use-webgpu-adapter=swiftshader"]),
];
const QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"];

// Opens the page in a browser of its own; what goes wrong on it is kept.
async function open(args, viewport = { width: 1400, height: 900 }) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...QUIET, ...args],
  });
  const page = await browser.newPage({ viewport });
  page.setDefaultTimeout(600_000);
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("request", (request) => /^(file|blob):/.test(request.url()) || problems.push(`asks for ${request.url()}`));
  await page.goto(pathToFileURL(resolve(file)).href);
  await page.waitForFunction(() => window.playground);
  return { browser, page, problems };
}

const shown = async (page, name) => (await page.locator(`[data-of=${name}]`).textContent()).trim();

async function look(page, name) {
  for (const [device, viewport] of [
    ["desktop", { width: 1400, height: 900 }],
    ["phone", { width: 390, height: 844 }],
  ]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert(wider <= 0, `${name}, ${device}: the page is ${wider} pixels wider than the window`);
      if (!screenshots) continue;
      // Charts are drawn at the next frame after a change of size.
      await page.evaluate(() => new Promise((done) => setTimeout(done, 300)));
      await page.screenshot({ path: join(screenshots, `${name}-${device}-${colorScheme}.png`), fullPage: true });
    }
  }
}

// Without WebGPU: the page says so, and the recorded run can be pruned.
{
  const { browser, page, problems } = await open([]);
  const words = await page.locator("#device").textContent();
  assert.match(words, /^No training here: .*recorded run/, words);
  assert(await page.locator("#train").isDisabled());
  await page.locator("#size").fill("80");
  const recorded = await page.evaluate(() => playground.recorded.curves.get("hold 1"));
  const [images, weights] = await page.evaluate(() => [playground.plan.test_images, playground.plan.random.length]);
  assert.equal(await shown(page, "accuracy"), `${((100 * recorded[80]) / images).toFixed(2)} %`);
  assert.equal(await shown(page, "removed"), `${Math.round(0.8 * weights)} of ${weights} (80.0 %)`);
  await look(page, "recorded");
  await browser.close();
  assert.deepEqual(problems, []);
  console.log("without WebGPU the page says so and shows the recorded run");
}

const { browser, page, problems } = await open(WEBGPU);
const device = await page.locator("#device").textContent();
assert.match(device, /^Ready: /, device);
console.log(device);

// The same weights: the sliders' accuracies on this WebGPU are those of the CPU engine's sweep.
const wrong = await page.evaluate(async () => {
  const { recorded, sweep } = playground;
  const wrong = [];
  let compared = 0;
  for (const [name, curve] of recorded.curves) {
    const [method, setting] = name.split(" ");
    const [expected, found] = [await curve, await sweep(recorded, method, Number(setting))];
    if (expected.length !== found.length) wrong.push(`${name}: ${found.length} points instead of ${expected.length}`);
    expected.forEach((correct, point) => {
      compared += 1;
      if (found[point] !== correct) wrong.push(`${name}, point ${point}: ${found[point]} right instead of ${correct}`);
    });
  }
  return { compared, wrong };
});
assert.deepEqual(wrong.wrong, []);
console.log(`${wrong.compared} operating points of the sliders have the accuracy of the CPU engine's sweep`);

// The same history: ranks, counts and extremes are those of the CPU engine, to the bit.
const differing = await page.evaluate(async () => {
  const { recorded, ask } = playground;
  const found = await ask("count", { history: recorded.history });
  return ["rank", "stability", "stable_weights", "minimum", "maximum", "smallest_magnitude"].filter(
    (name) => found[name].length !== recorded[name].length || found[name].some((value, place) => value !== recorded[name][place]),
  );
});
assert.deepEqual(differing, []);
console.log("ranks, counts and extremes of the recorded history are equal");

// Training from the same weights on the same images: the losses are those of the CPU engine.
const start = Date.now();
await page.locator("#train").click();
// Meanwhile the page is awake: the run before can be pruned.
await page.locator("#size").fill("50");
await page.waitForFunction(() => document.querySelector("[data-of=removed]").textContent.endsWith("(50.0 %)"));
assert(await page.locator("#train").isDisabled(), "the training was over before the slider moved");
await page.waitForFunction(() => !document.getElementById("train").disabled);
assert.match(await page.locator("#progress").textContent(), /^Trained in /);
const { losses, expected, correct, images } = await page.evaluate(() => ({
  losses: playground.current().losses,
  expected: [...playground.recorded.losses],
  correct: playground.current().correct.at(-1),
  images: playground.plan.test_images,
}));
assert.equal(losses.length, expected.length);
let worst = 0;
for (let step = 0; step < STEPS; step += 1) {
  const share = Math.abs(losses[step] - expected[step]) / (LOSS_TOLERANCE * expected[step]);
  assert(share <= 1, `the loss of step ${step} is ${losses[step]}, the engine has ${expected[step]}: ${share} of the tolerance`);
  worst = Math.max(worst, share);
}
console.log(
  `${STEPS} losses within ${(100 * worst).toFixed(1)} % of the tolerance; ${losses.length} steps in ${((Date.now() - start) / 1000).toFixed(0)} s`,
);
assert(correct > 0.85 * images, `only ${correct} of ${images} test images are right`);

// What the page shows of its own run is what its sweep gives.
const own = await page.evaluate(async () => {
  const { current, sweep } = playground;
  return sweep(current(), "stability", 1);
});
await page.locator("#criteria select").first().selectOption({ label: "Magnitude stability" });
await page.locator("#size").fill("9");
await page.waitForFunction(
  (right) => document.querySelector("[data-of=accuracy]").textContent === right,
  `${((100 * own[9]) / images).toFixed(2)} %`,
);
await page.locator("#focus").press("ArrowRight");
assert.match(await page.locator("#weight").textContent(), /^From unit \d+ to unit \d+: /);

// Every kernel is timed and can be read; the measurements can be saved.
await page.locator("#times").click();
await page.waitForFunction(() => !document.getElementById("times").disabled);
const rows = await page
  .locator("#kernels tbody tr")
  .evaluateAll((rows) =>
    rows.map((row) => [row.querySelector("button").textContent, Number(row.cells[2].textContent.replace("< ", ""))]),
  );
assert(rows.length > 12 && rows.every(([, time]) => time > 0), JSON.stringify(rows));
const slowest = rows.reduce((slowest, row) => (row[1] > slowest[1] ? row : slowest));
console.log(`${rows.length} rows of kernels are timed, the slowest is ${slowest[0]} with ${slowest[1]} ms`);
await page.locator("#kernels button", { hasText: "adam.step" }).first().click();
assert.match(await page.locator("#kernels pre:visible").textContent(), /fn main\(/);
await page.locator("#bench").click();
await page.locator("#save").waitFor();
const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#save").click()]);
const saved = JSON.parse(readFileSync(await download.path(), "utf8"));
assert.deepEqual([saved.format, saved.format_version], ["holdfast bench", 1]);
assert.deepEqual(
  saved.quantities.map(({ name }) => name),
  ["step_us", "sweep_us_per_point"],
);
assert(
  saved.quantities.every(({ samples }) => samples.length === 9 && samples.every((time) => time > 0)),
  JSON.stringify(saved),
);
if (screenshots) writeFileSync(join(screenshots, "bench.json"), JSON.stringify(saved));

await look(page, "trained");
await browser.close();
assert.deepEqual(problems, []);
console.log("no errors, nothing loaded");
