// Runs the launch program in this browser's WebGPU, away from the page. It knows no kernel: it fills and reads arrays, which
// the program names by a recording and a binding, and launches what the program says.
"use strict";

// Milliseconds that one submission should take: the screen is drawn by the same GPU.
const SUBMISSION = 20;
// What one measurement of a kernel should take, and how many there are; the fastest counts.
const MEASURED = 20;
const MEASUREMENTS = 5;
// Rounds of a benchmark that count.
const ROUNDS = 9;
// Words of a record, and their order: first place of the samples, stride of orders, samples, row of the result, Adam's rate.
const RECORD_WORDS = 64;

let driver = null;
let stopped = false;

class Driver {
  constructor(device, { program, plan, network }, data) {
    Object.assign(this, { device, program, plan, network, data, pipelines: new Map(), groups: new Map() });
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.buffers = program.arrays.map(({ bytes }) => device.createBuffer({ size: bytes, usage }));
    program.arrays.forEach(({ content }, number) => {
      if (content)
        this.write(
          this.buffers[number],
          Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0)),
        );
    });
    // The engine counted copies of the history; here all kernels read the one that lies on the GPU.
    this.history = this.array("rank", "weights");
    for (const label of ["count", "envelope"]) this.buffers[this.number(label, "history")] = this.history;
    this.batch = this.samples("training");
    this.step = this.samples("evaluation");
    this.steps = plan.training_images / this.batch;
    const first = plan.training_images * network.height * network.width;
    this.write(this.array("training", "images"), data.images.subarray(0, first));
    this.write(this.array("training", "labels"), Uint32Array.from(data.labels.subarray(0, plan.training_images)));
    const own = Uint32Array.from({ length: plan.test_images }, (_, sample) => sample);
    for (const label of ["evaluation", "sweep"]) {
      this.write(this.array(label, "images"), data.images.subarray(first));
      this.write(this.array(label, "labels"), Uint32Array.from(data.labels.subarray(plan.training_images)));
      this.write(this.array(label, "order"), own);
    }
  }

  launches(label) {
    return this.program.recordings[label];
  }

  // The number of the array that a binding of a recording is bound to.
  number(label, name) {
    for (const { kernel, arrays } of this.launches(label)) {
      const place = this.program.kernels[kernel].bindings.findIndex(([binding]) => binding === name);
      if (place >= 0) return arrays[place];
    }
    throw new Error(`the program has no ${name} in ${label}`);
  }

  array(label, name) {
    return this.buffers[this.number(label, name)];
  }

  // Samples of a step of a recording, as its first record said.
  samples(label) {
    const record = atob(this.program.arrays[this.number(label, "step")].content);
    return record.charCodeAt(8) + 256 * record.charCodeAt(9);
  }

  write(buffer, numbers) {
    this.device.queue.writeBuffer(buffer, 0, numbers);
  }

  // Compiles every kernel with its constants.
  async compile() {
    for (const launch of Object.values(this.program.recordings).flat()) {
      const key = launch.kernel + JSON.stringify(launch.constants);
      if (!this.pipelines.has(key)) this.pipelines.set(key, await this.pipeline(launch));
      const { pipeline, layout, bindings } = this.pipelines.get(key);
      const entries = launch.arrays.map((number, binding) => ({
        binding,
        resource: { buffer: this.buffers[number], ...(bindings[binding][1] === "record" && { size: launch.record }) },
      }));
      this.groups.set(launch, { pipeline, group: this.device.createBindGroup({ layout, entries }) });
    }
  }

  async pipeline({ kernel, constants }) {
    const { source, bindings } = this.program.kernels[kernel];
    const entries = bindings.map(([, use], binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: use === "write" ? "storage" : "read-only-storage", hasDynamicOffset: use === "record" },
    }));
    const layout = this.device.createBindGroupLayout({ entries });
    const module = this.device.createShaderModule({ label: kernel, code: source });
    const pipeline = await this.device.createComputePipelineAsync({
      label: kernel,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main", constants },
    });
    return { pipeline, layout, bindings };
  }

  // Records a launch; its kernel reads record `index`, if it reads one.
  launch(pass, launch, index = 0) {
    const { pipeline, group } = this.groups.get(launch);
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group, launch.record ? [index * launch.record] : []);
    pass.dispatchWorkgroups(...launch.workgroups);
  }

  // Submits what `record` records, and gives the bytes of an array after it.
  async submit(record, buffer, first = 0, size = buffer.size - first) {
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    record(pass);
    pass.end();
    const found = this.device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(buffer, first, found, 0, size);
    this.device.queue.submit([encoder.finish()]);
    await found.mapAsync(GPUMapMode.READ);
    const bytes = found.getMappedRange().slice(0);
    found.destroy();
    return bytes;
  }

  // Copies one array's bytes to another's, or clears them.
  move(moves) {
    const encoder = this.device.createCommandEncoder();
    for (const { from, first = 0, to, place = 0, size = to.size } of moves) {
      if (from) encoder.copyBufferToBuffer(from, first, to, place, size);
      else encoder.clearBuffer(to, place, size);
    }
    this.device.queue.submit([encoder.finish()]);
  }

  // The records of steps: their first samples, how many each has, the rows of their results, and their rates.
  writeRecords(label, steps) {
    const words = new Uint32Array(steps.length * RECORD_WORDS);
    const numbers = new Float32Array(words.buffer);
    steps.forEach(({ first, samples, row, rate = 0 }, place) => {
      words.set([first, 0, samples, row], place * RECORD_WORDS);
      numbers[place * RECORD_WORDS + 4] = rate;
    });
    this.write(this.array(label, "step"), words);
  }

  // Places and rows of the steps that the test images are cut into, with so many rows for each.
  testSteps(rows) {
    const steps = this.plan.test_images / this.step;
    return Array.from({ length: steps }, (_, place) => ({
      first: place * this.step,
      samples: this.step,
      row: place * rows,
    }));
  }

  // Trains for one epoch, as many steps in a submission as suit the device; `told` hears the losses of each submission.
  async epoch(epoch, told) {
    const images = this.plan.training_images;
    this.write(this.array("training", "order"), this.data.orders.subarray(epoch * images, (epoch + 1) * images));
    const losses = this.array("training", "losses");
    const room = this.array("training", "step").size / (4 * RECORD_WORDS);
    for (let done = 0; done < this.steps && !stopped;) {
      const count = Math.min(this.pace, room, this.steps - done);
      const step = (place) => ({
        first: (done + place) * this.batch,
        samples: this.batch,
        row: done + place,
        rate: this.data.rates[epoch * this.steps + done + place],
      });
      this.writeRecords(
        "training",
        Array.from({ length: count }, (_, place) => step(place)),
      );
      const start = performance.now();
      const bytes = await this.submit(
        (pass) => {
          for (let place = 0; place < count; place += 1) {
            for (const launch of this.launches("training")) this.launch(pass, launch, place);
          }
        },
        losses,
        8 * done,
        8 * count,
      );
      const fitting = Math.floor((count * SUBMISSION) / Math.max(performance.now() - start, 0.1));
      this.pace = Math.max(1, Math.min(fitting, 4 * this.pace));
      done += count;
      // A mean, and how many were right, side by side.
      told(
        new Float32Array(bytes).filter((_, place) => place % 2 === 0),
        done,
      );
    }
  }

  pace = 1;

  // Trains from the initial weights, remembers the layer after each epoch, and counts.
  async train(told) {
    const { epochs } = this.plan;
    const { offset, shape } = this.network.tensors[this.network.focus];
    const size = 4 * shape[0] * shape[1];
    const parameters = this.array("training", "parameters");
    this.move([parameters, this.array("training", "m"), this.array("training", "v")].map((to) => ({ to })));
    await this.submit((pass) => this.launches("initial weights").forEach((launch) => this.launch(pass, launch)), parameters);
    for (let epoch = 0; epoch < epochs && !stopped; epoch += 1) {
      await this.epoch(epoch, (losses, done) => told({ losses, epoch, done, steps: this.steps }));
      this.move([{ from: parameters, first: 4 * offset, to: this.history, place: epoch * size, size }]);
      if (!stopped) {
        const correct = await this.evaluate();
        told({ epoch, correct, parameters: new Float32Array(await this.submit(() => {}, parameters)) });
      }
    }
    if (stopped) return { stopped: true };
    const history = new Float32Array(await this.submit(() => {}, this.history));
    return { history, ...(await this.count(history)) };
  }

  // Test images that the network classifies correctly.
  async evaluate() {
    const steps = this.testSteps(1);
    this.writeRecords("evaluation", steps);
    let correct = 0;
    for (let place = 0; place < steps.length; place += 1) {
      const record = (pass) => this.launches("evaluation").forEach((launch) => this.launch(pass, launch, place));
      correct += new Uint32Array(await this.submit(record, this.array("evaluation", "losses"), 8 * place, 8))[1];
    }
    return correct;
  }

  // Ranks, counts and extremes of the history that lies on the GPU.
  async count(history) {
    const { tolerances, epochs } = this.plan;
    const weights = history.length / epochs;
    const [lower, upper] = [new Uint32Array(4 * weights), new Uint32Array(4 * weights)];
    for (let weight = 0; weight < weights; weight += 1) {
      const last = history[history.length - weights + weight];
      tolerances.forEach((tolerance, place) => {
        [lower[4 * weight + place], upper[4 * weight + place]] = bounds(last, tolerance).map(sortableKey);
      });
    }
    this.write(this.array("count", "lower"), lower);
    this.write(this.array("count", "upper"), upper);
    this.move([{ to: this.array("count", "stable_weights") }]);
    const run = async (label, name, Kind) => {
      const record = (pass) => this.launches(label).forEach((launch) => this.launch(pass, launch));
      return new Kind(await this.submit(record, this.array(label, name)));
    };
    const after = async (label, name, Kind) => new Kind(await this.submit(() => {}, this.array(label, name)));
    return {
      rank: await run("rank", "rank", Uint32Array),
      stability: turned(await run("count", "stability", Uint32Array), tolerances.length),
      stable_weights: turned(await after("count", "stable_weights", Uint32Array), tolerances.length),
      minimum: await run("envelope", "minimum", Float32Array),
      maximum: await after("envelope", "maximum", Float32Array),
      smallest_magnitude: await after("envelope", "smallest_magnitude", Float32Array),
    };
  }

  // How many test images each pruned network classifies correctly; `kept` has a number for each weight of each of them.
  async sweep(kept) {
    const [inputs, units] = this.network.tensors[this.network.focus].shape;
    const launches = this.launches("sweep");
    const [blocks, , most] = launches.at(-1).workgroups;
    const points = kept.length / (inputs * units);
    const steps = this.testSteps(blocks);
    this.writeRecords("sweep", steps);
    const correct = new Uint32Array(points);
    for (const [step] of steps.entries()) {
      for (let first = 0; first < points; first += most) {
        const own = Math.min(most, points - first);
        // A bit for each weight; the units of a row fit one word.
        const masks = new Uint32Array(most * inputs);
        for (let place = 0; place < own * inputs * units; place += 1) {
          masks[Math.floor(place / units)] |= kept[first * inputs * units + place] << (place % units);
        }
        this.write(this.array("sweep", "masks"), masks);
        // The layers before are the same for all points.
        const now = first === 0 ? launches : launches.slice(-1);
        const record = (pass) => now.forEach((launch) => this.launch(pass, launch, step));
        const pairs = new Uint32Array(await this.submit(record, this.array("sweep", "losses")));
        for (let place = 0; place < own * blocks; place += 1) {
          const point = Math.floor(place / blocks);
          correct[first + point] += pairs[2 * (point * blocks * steps.length + step * blocks + (place % blocks)) + 1];
        }
      }
    }
    return correct;
  }

  // Runs `work`, and puts the network back to what it was.
  async aside(work) {
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const own = ["parameters", "m", "v"].map((name) => this.array("training", name));
    const saved = own.map((array) => this.device.createBuffer({ size: array.size, usage }));
    this.move(saved.map((to, place) => ({ from: own[place], to })));
    const result = await work();
    this.move(own.map((to, place) => ({ from: saved[place], to })));
    return result;
  }

  // Milliseconds of one launch of each kernel of a recording: many of them in a submission, what an empty one takes apart.
  async times(told) {
    const small = this.array("training", "losses");
    const timed = async (record) => {
      const start = performance.now();
      await this.submit(record, small, 0, 8);
      return performance.now() - start;
    };
    let empty = Infinity;
    for (let round = 0; round < MEASUREMENTS; round += 1) empty = Math.min(empty, await timed(() => {}));
    await this.aside(async () => {
      for (const [label, launches] of Object.entries(this.program.recordings)) {
        for (const [place, launch] of launches.entries()) {
          const repeated = (times) => (pass) => {
            for (let time = 0; time < times; time += 1) this.launch(pass, launch);
          };
          const once = Math.max((await timed(repeated(4))) - empty, 0.02) / 4;
          const times = Math.max(1, Math.min(1000, Math.round(MEASURED / once)));
          let fastest = Infinity;
          for (let round = 0; round < MEASUREMENTS; round += 1) fastest = Math.min(fastest, await timed(repeated(times)));
          told({ label, place, milliseconds: Math.max(fastest - empty, 0) / times });
        }
      }
    });
    return {};
  }

  // Microseconds of a training step, and of a pruned network: both have a turn in each round, and the first warms up.
  async benchmark(told) {
    const [inputs, units] = this.network.tensors[this.network.focus].shape;
    const points = this.launches("sweep").at(-1).workgroups[2];
    const kept = new Uint8Array(points * inputs * units).fill(1);
    const found = { step_us: [], sweep_us_per_point: [] };
    const timed = async (work, count) => {
      const start = performance.now();
      await work();
      return (1000 * (performance.now() - start)) / count;
    };
    await this.aside(async () => {
      for (let round = 0; round <= ROUNDS; round += 1) {
        told({ round, rounds: ROUNDS });
        const step = await timed(() => this.epoch(0, () => {}), this.steps);
        const point = await timed(() => this.sweep(kept), points);
        if (round > 0) {
          found.step_us.push(step);
          found.sweep_us_per_point.push(point);
        }
      }
    });
    return found;
  }
}

// `[weight, tolerance]` to `[tolerance, weight]`.
function turned(numbers, columns) {
  const rows = numbers.length / columns;
  return numbers.map((_, place) => numbers[(place % rows) * columns + Math.floor(place / rows)]);
}

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

// A key that orders single-precision numbers like integers.
function sortableKey(value) {
  single[0] = value;
  if (word[0] === 0x80000000) return 0x80000000;
  return word[0] >>> 31 ? ~word[0] >>> 0 : (word[0] ^ 0x80000000) >>> 0;
}

// The next number in single precision: above for 1, below for -1.
function next(value, direction) {
  single[0] = value;
  if (word[0] << 1 === 0) {
    word[0] = direction > 0 ? 1 : 0x80000001;
  } else {
    word[0] += value > 0 === direction > 0 ? 1 : -1;
  }
  return single[0];
}

// The smallest and the largest number in single precision within a relative tolerance of a weight, rounded inwards.
function bounds(weight, tolerance) {
  const margin = tolerance * Math.abs(weight);
  const [low, high] = [weight - margin, weight + margin];
  const [lower, upper] = [Math.fround(low), Math.fround(high)];
  return [lower < low ? next(lower, 1) : lower, upper > high ? next(upper, -1) : upper];
}

async function open({ contents }) {
  if (!self.navigator.gpu) return { missing: "this browser has no WebGPU here" };
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return { missing: "the browser has WebGPU, but found no GPU that it may use" };
  const device = await adapter.requestDevice();
  device.lost.then(({ message }) => postMessage({ failed: `the GPU was lost: ${message || "no reason was given"}` }));
  device.addEventListener("uncapturederror", ({ error }) => postMessage({ failed: error.message }));
  const start = performance.now();
  driver = new Driver(device, contents, {
    images: await unpack(contents.images, Uint8Array),
    labels: await unpack(contents.labels, Uint8Array),
    rates: await unpack(contents.plan.rates, Float32Array),
    orders: await unpack(contents.plan.orders, Uint32Array),
  });
  await driver.compile();
  // Browsers leave out what they do not tell, and only some have a driver.
  const { vendor, architecture, device: model, description, driver: software, isFallbackAdapter } = adapter.info;
  const name = [description || [vendor, model].filter(Boolean).join(" "), architecture].filter(Boolean).join(" ");
  return {
    name: name || "a GPU that has no name here",
    driver: software ?? "",
    software: Boolean(isFallbackAdapter),
    compiled: performance.now() - start,
  };
}

const work = {
  open,
  train: (_, told) => driver.train(told),
  count: async ({ history }) => {
    driver.write(driver.history, history);
    return driver.count(history);
  },
  // Of any network: it takes the place of the one that was trained.
  sweep: async ({ parameters, kept }) => {
    driver.write(driver.array("training", "parameters"), parameters);
    return { correct: await driver.sweep(kept) };
  },
  times: (_, told) => driver.times(told),
  benchmark: (_, told) => driver.benchmark(told),
};

// One thing after the other; only a stop is heard at once.
let last = Promise.resolve();
self.onmessage = ({ data: { id, what, ...question } }) => {
  if (what === "stop") {
    stopped = true;
    return;
  }
  last = last.then(async () => {
    stopped = false;
    try {
      postMessage({ id, answer: await work[what](question, (part) => postMessage({ id, part })) });
    } catch (error) {
      postMessage({ id, error: String(error.message ?? error) });
    }
  });
};
