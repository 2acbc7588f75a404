// ONNX Runtime Web on the same network.
import "/bench/count.js";

const options = new URLSearchParams(self.location.search);
const [provider, batch, repeats] = [options.get("provider"), +options.get("batch"), +options.get("repeats")];
const counts = () => new Promise(resolve => {
  const channel = new BroadcastChannel("counts");
  channel.onmessage = message => { channel.close(); resolve(structuredClone(message.data)); };
  channel.postMessage("ask");
});

try {
  const ort = await import(provider === "webgpu" ? "/ort/ort.webgpu.min.mjs" : "/ort/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = "/ort/";
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const began = performance.now();
  const session = await ort.InferenceSession.create(`/bench/unet-${batch}.onnx`, { executionProviders: [provider] });
  const ready = performance.now() - began;
  const input = await (await fetch("/bench/input.json")).json();
  const picture = Float32Array.from({ length: batch * input.x.length }, (_, i) => input.x[i % input.x.length]);
  const feeds = {
    x: new ort.Tensor("float32", picture, [batch, input.inputs, input.side, input.side]),
    waves: new ort.Tensor("float32", Float32Array.from(input.waves), [1, input.waves.length]),
  };
  const run = async () => {
    const began = performance.now();
    const { y } = await session.run(feeds);
    const values = await y.getData();
    return { time: performance.now() - began, values };
  };
  const first = await run();
  const before = await counts();
  const times = [];
  for (let i = 0; i < repeats; i++) times.push((await run()).time);
  const after = await counts();
  postMessage({ ready, first: first.time, times, before, after, output: Array.from(first.values.slice(0, first.values.length / batch)) });
} catch (error) {
  postMessage({ error: String(error && error.stack || error) });
}
