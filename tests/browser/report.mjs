// Drags the slider of a report in headless Chromium and compares what it shows with sweep.csv. Not part of `.ci/run`.
//
//   npm install --no-save playwright-core axe-core && node tests/browser/report.mjs RUN [SCREENSHOT_FOLDER]
//
// RUN is the folder of a finished comparison of one network on one data set, or of a study of both networks on several sets,
// with its report.html; of a study the first slider is dragged. CHROMIUM names the browser if it is not /usr/bin/chromium.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [run, screenshots] = process.argv.slice(2);
assert(run, "usage: node tests/browser/report.mjs RUN [SCREENSHOT_FOLDER]");

const isStudy = existsSync(join(run, "table1.csv"));
const [names, ...lines] = readFileSync(join(run, isStudy ? "figure4/sweep.csv" : "sweep.csv"), "utf8").trim().split("\n");
const columns = names.split(",");
let rows = lines.map((line) => Object.fromEntries(line.split(",").map((value, place) => [columns[place], value])));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
// axe runs in the page, which else allows no script but its own.
const page = await browser.newPage({ viewport: { width: 1400, height: 900 }, bypassCSP: true });
// A busy machine takes as long as it needs.
page.setDefaultTimeout(0);
const problems = [];
page.on("pageerror", (error) => problems.push(String(error)));
page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
page.on("request", (request) => request.url().startsWith("file:") || problems.push(`asks for ${request.url()}`));
await page.goto(pathToFileURL(resolve(run, "report.html")).href);

const place = page.locator(".explorer").first();
const [dataSet, model] = (await page.locator("section", { has: place }).first().locator("h2").textContent()).split(" · ");
// The first slider is of one layer that was cut and not repaired.
const isPlain = (row) => (row.layers ?? "focus") === "focus" && (row.repair ?? "cut") === "cut";
rows = rows.filter((row) => row.data_set === dataSet && row.model === model && isPlain(row));
const slider = place.locator("input[type=range]");
const shown = async (name) => (await place.locator(`[data-of=${name}]`).textContent()).trim();
const select = (label) => place.locator("label", { hasText: new RegExp(`^${label}`) }).locator("select");
const choose = (label, option) => select(label).selectOption(option);
const nodes = Math.max(...rows.map((row) => Number(row.nonzero_weights)));

// The nodes that the picture of the state paints in a colour, read off its pixels.
const painted = (colour) =>
  place.locator("canvas").nth(1).evaluate((canvas, colour) => {
    const pen = canvas.getContext("2d");
    let found = 0;
    for (let y = 6; y < canvas.height; y += 12) {
      for (let x = 6; x < canvas.width; x += 12) found += String([...pen.getImageData(x, y, 1, 1).data].slice(0, 3)) === colour;
    }
    return found;
  }, colour);

// The row of sweep.csv at the slider's point: sparser and sparser, as the slider goes.
function expected(conditions, index) {
  const own = rows.filter((row) => Object.entries(conditions).every(([column, value]) => row[column] === value));
  own.sort((a, b) => Number(a.threshold) - Number(b.threshold) || Number(b.nonzero_weights) - Number(a.nonzero_weights));
  return { row: own[index], points: own.length };
}

async function compare(conditions) {
  const last = Number(await slider.getAttribute("max"));
  assert.equal(last + 1, expected(conditions, 0).points, "the slider has another number of points");
  const index = Number(await slider.inputValue());
  const { row } = expected(conditions, index);
  assert.equal(await shown("accuracy"), `${(100 * Number(row.accuracy)).toFixed(2)} %`);
  const zero = nodes - Number(row.nonzero_weights);
  assert.equal(await shown("sparsity"), `${(100 * Number(row.sparsity)).toFixed(2)} % (${zero} of ${nodes})`);
  assert.equal(await shown("compression"), `${Number(row.smaller).toFixed(3)}×`);
  if (row.method !== "random") {
    const cut = (await painted("240,240,240")) + (await painted("0,0,0"));
    assert.equal(cut, zero, "the picture cuts another number of nodes");
    assert.equal((await painted("230,159,0")) + (await painted("0,0,0")), Number(row.frozen_weights), "frozen nodes");
  }
}

// Drags the slider's thumb with the mouse to a share of its way.
async function drag(share) {
  await slider.scrollIntoViewIfNeeded();
  const before = Number(await slider.inputValue()) / Number(await slider.getAttribute("max"));
  const { x, y, width, height } = await slider.boundingBox();
  const at = (share) => x + 8 + share * (width - 16);
  await page.mouse.move(at(before), y + height / 2);
  await page.mouse.down();
  await page.mouse.move(at(share), y + height / 2, { steps: 5 });
  await page.mouse.up();
}

await page.addScriptTag({ path: createRequire(import.meta.url).resolve("axe-core/axe.min.js") });

// The slider of the whole network stands at every size that the run has.
const network = page.locator('.explorer[data-of="network"]').first();
if (await network.count()) {
  const sizes = network.locator("input[type=range]");
  const data = JSON.parse(await network.locator("script").textContent());
  const heads = new Set();
  for (let step = 0; step <= Number(await sizes.getAttribute("max")); step += 1) {
    await sizes.fill(String(step));
    heads.add(await network.locator("[data-of=size]").textContent());
  }
  assert.equal(heads.size, 1 + data.sizes.length, "the slider leaves out a size");
}

let compared = 0;
const windows = await select("Window").locator("option").allTextContents();
for (const replica of ["0", "1"]) {
  await choose("Replica", replica);
  for (const [label, conditions, settings] of [
    ["Magnitude stability", { method: "stability" }, [["Tolerance", "3.00 %", { tolerance: "0.03" }]]],
    ["Holding magnitude, frozen first", { method: "hold", rule: "frozen-first" }, windows.map((one) => ["Window", one, { window: one }])],
    ["Settling tolerance, frozen kept", { method: "settle", rule: "frozen-kept" }, windows.map((one) => ["Window", one, { window: one }])],
    ["One-shot magnitude", { method: "magnitude" }, [null]],
    ["One-shot magnitude, frozen first", { method: "magnitude-frozen-first" }, [null]],
    ["Random", { method: "random" }, [null]],
  ]) {
    await choose("Criterion", label);
    for (const setting of settings) {
      if (setting) await choose(setting[0], setting[1]);
      for (const share of [0.1, 0.95, 0.5]) {
        await drag(share);
        await compare({ replica, ...conditions, ...setting?.[2] });
        compared += 1;
      }
      await slider.press("ArrowRight");
      await compare({ replica, ...conditions, ...setting?.[2] });
      compared += 1;
    }
  }
}
await choose("Criterion", "Holding magnitude, frozen first");
await drag(0.8);
await place.locator("canvas").first().hover({ position: { x: 40, y: 40 } });
assert.match(await place.locator("p[aria-live]").textContent(), /^Weight from unit \d+ to unit \d+: /);

for (const [name, viewport, colorScheme] of [
  ["light", { width: 1400, height: 900 }, "light"],
  ["dark", { width: 1400, height: 900 }, "dark"],
  ["phone", { width: 390, height: 844 }, "light"],
  ["phone-dark", { width: 390, height: 844 }, "dark"],
]) {
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize(viewport);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert(wider <= 0, `${name}: the page is ${wider} pixels wider than the window`);
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
  const found = await page.evaluate(async () => (await axe.run()).violations);
  const grave = found.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(grave.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], name);
}
const text = await page.locator("main").innerText();
for (const words of ["Switches in force", "Run and machine", "Data (SHA-256)"]) assert(text.includes(words), words);
if (isStudy) {
  for (const number of [1, 2, 3, 4, 5]) assert(text.includes(`Table ${number}:`), `Table ${number}`);
  for (const words of ["Figure 3", "Figure 4", "Sensitivity", "What was replaced", "paper's mean", "Do settle and hold beat"]) {
    assert(text.includes(words), words);
  }
}
await browser.close();
assert.deepEqual(problems, []);
console.log(`${compared} operating points agree with sweep.csv; no errors, nothing loaded`);
