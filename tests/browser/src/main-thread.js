// Counts what the page does on the main thread, in numbers that no load of the machine changes: how much WebAssembly it was given and how
// often that calls out, what workers tell it, and how many pixels it puts on canvases. The counts stand in window.work.
(() => {
  const work = { modules: 0, moduleBytes: 0, calls: 0, messages: 0, messageBytes: 0, pixels: 0, readBytes: 0 };
  window.work = work;

  const counted = imports => Object.fromEntries(Object.entries(imports ?? {}).map(([space, names]) => [space,
    Object.fromEntries(Object.entries(names).map(([name, value]) => [name,
      typeof value !== "function" ? value : function (...values) { work.calls++; return value.apply(this, values); }]))]));
  const { instantiate, instantiateStreaming } = WebAssembly;
  WebAssembly.instantiate = (source, imports) => {
    work.modules++;
    work.moduleBytes += source.byteLength ?? Infinity; // a ready-made module hides its size
    return instantiate.call(WebAssembly, source, counted(imports));
  };
  WebAssembly.instantiateStreaming = async (source, imports) => {
    const response = await source;
    work.modules++;
    work.moduleBytes += (await response.clone().arrayBuffer()).byteLength;
    return instantiateStreaming.call(WebAssembly, response, counted(imports));
  };

  // What a structured clone carries: bytes and letters.
  const size = value => {
    if (typeof value === "string") return value.length;
    if (value === null || typeof value !== "object") return 8;
    if (value.byteLength !== undefined) return value.byteLength;
    return Object.entries(value).reduce((sum, [name, part]) => sum + name.length + size(part), 0);
  };
  const { Worker } = window;
  window.Worker = class extends Worker {
    constructor(...values) {
      super(...values);
      super.addEventListener("message", ({ data }) => { work.messages++; work.messageBytes += size(data); });
    }
  };

  const { putImageData } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.putImageData = function (image, ...place) {
    work.pixels += image.width * image.height;
    return putImageData.call(this, image, ...place);
  };

  // Whatever the main thread reads of what it fetched, module aside.
  const { getReader } = ReadableStream.prototype;
  ReadableStream.prototype.getReader = function (...options) {
    const reader = getReader.apply(this, options);
    const { read } = reader;
    reader.read = async () => {
      const piece = await read.call(reader);
      work.readBytes += piece.value?.byteLength ?? 0;
      return piece;
    };
    return reader;
  };
})();
