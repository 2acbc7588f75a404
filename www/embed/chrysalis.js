/**
 * Butterflies in any page: a function, and the element <chrysalis-butterfly>. Types and units are in chrysalis.d.ts.
 *
 * The files beside this one have to come from the page's own origin, as browsers start workers from nowhere else.
 */
import init, { SamplingClient } from "./embed.js";

const WEIGHTS = new URL("weights/butterflies-128.safetensors", import.meta.url).href;
const FOLDER = new URL("./", import.meta.url).href;

let ready;
let requests = 0;
/** One for each model and device: an engine is megabytes, and a model takes seconds to load. */
const clients = new Map();

async function clientFor(weights, device) {
  // What failed, for want of a network perhaps, is tried again the next time.
  await (ready ??= init().catch((error) => {
    ready = undefined;
    throw error;
  }));
  const key = `${device} ${weights}`;
  if (!clients.has(key)) clients.set(key, new SamplingClient(FOLDER, weights, device));
  return clients.get(key);
}

export async function hatch({ seed = 7, steps, sampler, weights = WEIGHTS, device = "best", signal, onStep } = {}) {
  signal?.throwIfAborted();
  const client = await clientFor(new URL(weights, document.baseURI).href, device);
  signal?.throwIfAborted();
  const number = requests++;
  const cancel = () => client.cancel(number);
  signal?.addEventListener("abort", cancel, { once: true });
  const told = onStep && (({ index, of, sigma, pictures }) => onStep({ index, of, sigma, picture: pictures[0] }));
  try {
    const [picture] = await client.sample(number, String(seed), steps, sampler, told);
    return picture;
  } catch (error) {
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

const ATTRIBUTES = ["seed", "steps", "sampler", "weights", "device"];

export class ChrysalisButterfly extends HTMLElement {
  static observedAttributes = ATTRIBUTES;
  #canvas = document.createElement("canvas");
  #seen = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.#appear());
  #aborter;
  #visible = false;

  constructor() {
    super();
    const style = new CSSStyleSheet();
    style.replaceSync(":host { display: inline-block; width: 128px; aspect-ratio: 1; } canvas { display: block; width: 100%; height: 100%; }");
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [style];
    this.#canvas.part = "picture";
    this.#canvas.width = this.#canvas.height = 128;
    this.#canvas.setAttribute("role", "img");
    root.append(this.#canvas);
  }

  connectedCallback() {
    // Nothing is fetched for a butterfly that nobody sees.
    this.#seen.observe(this);
  }

  disconnectedCallback() {
    this.#seen.disconnect();
    this.#visible = false;
    this.#aborter?.abort();
  }

  attributeChangedCallback() {
    if (this.#visible) this.#hatch();
  }

  #appear() {
    if (this.#visible) return;
    this.#visible = true;
    this.#hatch();
  }

  async #hatch() {
    this.#aborter?.abort();
    const aborter = (this.#aborter = new AbortController());
    // Several attributes may change in one breath.
    await Promise.resolve();
    if (aborter.signal.aborted) return;
    const named = ATTRIBUTES.filter((name) => this.hasAttribute(name)).map((name) => [name, this.getAttribute(name)]);
    const { steps, ...options } = Object.fromEntries(named);
    const label = `Butterfly number ${options.seed ?? 7}`;
    this.#canvas.setAttribute("aria-label", `${label}, on its way`);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    try {
      const picture = await hatch({
        ...options,
        ...(steps && { steps: Number(steps) }),
        signal: aborter.signal,
        onStep: calm ? undefined : (step) => this.#draw(step.picture),
      });
      this.#draw(picture);
      this.#canvas.setAttribute("aria-label", label);
      this.dispatchEvent(new CustomEvent("hatched", { detail: { picture } }));
    } catch (error) {
      if (aborter.signal.aborted) return;
      this.#canvas.setAttribute("aria-label", `${label}: ${error.message}`);
      this.dispatchEvent(new CustomEvent("failed", { detail: { error } }));
    }
  }

  #draw(picture) {
    this.#canvas.width = picture.width;
    this.#canvas.height = picture.height;
    this.#canvas.getContext("2d").putImageData(picture, 0, 0);
  }
}

if (!customElements.get("chrysalis-butterfly")) customElements.define("chrysalis-butterfly", ChrysalisButterfly);
