// The browser's half of the comparison: runs each engine in a worker of its own and tells how long its steps took.

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

const counts = () => new Promise(resolve => {
  const channel = new BroadcastChannel("counts");
  const give = value => { channel.close(); resolve(value); };
  channel.onmessage = message => give(message.data);
  channel.postMessage("ask");
  setTimeout(() => give({}), 2000);
});

// What a step costs, from the counts before and after some of them.
const aStep = (before, after, steps) => Object.fromEntries(
  ["dispatches", "submits", "bindGroups", "pipelines", "buffers"].map(what => [what, (after[what] - before[what]) / steps]));

// One of Chrysalis's own workers.
class Chrysalis {
  static async start(kind, weights) {
    const engine = new Chrysalis();
    engine.worker = new Worker(`/page/worker-${kind}_loader.js`, { type: "module" });
    const began = performance.now();
    await engine.until("Started");
    const bytes = new Uint8Array(await (await fetch(weights)).arrayBuffer());
    engine.worker.postMessage({ Load: { weights: bytes } });
    engine.ready = (await engine.until("Ready")).Ready;
    engine.readyAfter = performance.now() - began;
    return engine;
  }

  until(name, each = () => {}) {
    return new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => {
        const event = data.Sampling ? data.Sampling.output : data;
        each(event);
        if (event === name || (typeof event === "object" && name in event)) resolve(event);
        else if (event.Failed || event.Unfit) reject(new Error(JSON.stringify(event)));
      };
      this.worker.onerror = error => reject(new Error(error.message || "the worker did not start"));
    });
  }

  async hatch(seed, count, steps) {
    const times = [performance.now()];
    const done = this.until("Finished", event => event.Step && times.push(performance.now()));
    const origins = Array.from({ length: count }, (_, place) => [String(seed + place), null]);
    this.worker.postMessage({ Sample: { turn: 1, task: { origins, steps, sampler: "dpm", edit: null, activations: false } } });
    await done;
    return times;
  }

  end() {
    this.worker.terminate();
  }
}

const benches = {
  // Milliseconds of a step of the first stage, pictures for the page included; counts are those of a step of any stage.
  async chrysalis({ kind, batch, steps, weights }) {
    const engine = await Chrysalis.start(kind, weights);
    const first = await engine.hatch(1, batch, 2);
    const before = await counts();
    const times = await engine.hatch(7, batch, steps);
    const after = await counts();
    engine.end();
    const step = median(times.slice(1, steps + 1).map((time, i) => time - times[i]));
    return { ready: engine.readyAfter, first: first[1] - first[0], step, ...aStep(before, after, times.length - 1), mostBytes: after.mostBytes };
  },

  // One butterfly with one worker, then four with as many workers as there are processors.
  async pool({ steps, weights }) {
    const processors = Math.min(navigator.hardwareConcurrency, 4);
    const engines = [];
    for (let i = 0; i < processors; i++) engines.push(await Chrysalis.start("cpu", weights));
    const time = async work => { const began = performance.now(); await work(); return performance.now() - began; };
    const share = i => Math.floor(4 * (i + 1) / processors) - Math.floor(4 * i / processors);
    const all = () => Promise.all(engines.map((engine, i) => engine.hatch(i, share(i), steps)));
    await all();
    const one = [], four = [];
    for (let i = 0; i < 5; i++) {
      one.push(await time(() => engines[0].hatch(7, 1, steps)));
      four.push(await time(all));
    }
    engines.forEach(engine => engine.end());
    return { processors, one: median(one), four: median(four) };
  },

  // ONNX Runtime Web, in a worker too.
  async onnx({ provider, batch, repeats }) {
    const worker = new Worker(`/bench/onnx.js?provider=${provider}&batch=${batch}&repeats=${repeats}`, { type: "module" });
    const result = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => data.error ? reject(new Error(data.error)) : resolve(data);
      worker.onerror = error => reject(new Error(error.message || "the worker did not start"));
    });
    const most = await counts();
    worker.terminate();
    const { before, after, times, ...rest } = result;
    return { ...rest, step: median(times), ...aStep(before, after, repeats), mostBytes: most.mostBytes };
  },
};

window.bench = (name, options, done) =>
  benches[name](options).then(done, error => done({ error: String(error.message || error) }));
