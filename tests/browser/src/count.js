// Counts what is asked of WebGPU in a worker, and how much memory its WebAssembly has; tells whoever asks over a BroadcastChannel.
(() => {
  const counts = { dispatches: 0, submits: 0, bindGroups: 0, pipelines: 0, buffers: 0, bytes: 0, mostBytes: 0 };
  const count = (type, method, act) => {
    const original = self[type]?.prototype[method];
    if (!original) return;
    self[type].prototype[method] = function (...values) {
      act(...values);
      return original.apply(this, values);
    };
  };
  count("GPUComputePassEncoder", "dispatchWorkgroups", () => counts.dispatches++);
  count("GPUComputePassEncoder", "dispatchWorkgroupsIndirect", () => counts.dispatches++);
  count("GPUQueue", "submit", () => counts.submits++);
  count("GPUDevice", "createBindGroup", () => counts.bindGroups++);
  count("GPUDevice", "createComputePipeline", () => counts.pipelines++);
  count("GPUDevice", "createComputePipelineAsync", () => counts.pipelines++);
  const sizes = new WeakMap();
  const create = self.GPUDevice?.prototype.createBuffer;
  if (create) {
    GPUDevice.prototype.createBuffer = function (description) {
      const buffer = create.call(this, description);
      sizes.set(buffer, description.size);
      counts.buffers++;
      counts.bytes += description.size;
      counts.mostBytes = Math.max(counts.mostBytes, counts.bytes);
      return buffer;
    };
    const destroy = GPUBuffer.prototype.destroy;
    GPUBuffer.prototype.destroy = function () {
      counts.bytes -= sizes.get(this) ?? 0;
      sizes.delete(this);
      return destroy.call(this);
    };
  }
  let memory;
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...values) => {
      const result = await original.apply(WebAssembly, values);
      memory = (result.instance ?? result).exports.memory ?? memory;
      return result;
    };
  }
  if (typeof WorkerGlobalScope !== "undefined") {
    const channel = new BroadcastChannel("counts");
    channel.onmessage = message => message.data === "ask" &&
      channel.postMessage({ ...counts, wasmBytes: memory?.buffer.byteLength ?? 0 });
  }
})();
