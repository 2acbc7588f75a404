/** A step on the way from noise to a picture. */
export interface Step {
  /** Which step, from 1 to `of`. */
  index: number;
  /** How many steps there are, of all stages together. */
  of: number;
  /** The noise level σ at which the network saw the picture, where pictures go from −1 to 1. */
  sigma: number;
  /** The clean picture that the network sees: 32 × 32 pixels in the first stage of the shipped models, 128 × 128 in the last step. */
  picture: ImageData;
}

export interface Options {
  /** Which butterfly: a whole number from 0 to 2⁶⁴ − 1. Numbers above 2⁵³ as bigint or text. 7 by default. */
  seed?: number | bigint | string;
  /** Steps of the first stage, from 1 to 1000. By default as many as are usual for the model, 12 for the butterflies. */
  steps?: number;
  /** dpm, dpm-sde, ddpm, heun, heun:CHURN, ddim or ddim:ETA. What suits the model by default: dpm for the shipped ones. */
  sampler?: string;
  /** Address of a weight file, relative to the page. The butterflies beside this module by default. */
  weights?: string;
  /** best (the default: a GPU that is sound and faster, else the CPU), gpu or cpu. */
  device?: "best" | "gpu" | "cpu";
  /** Gives it up: the promise is then rejected with the signal's reason, after the step at hand. */
  signal?: AbortSignal;
  /** Hears of every step. */
  onStep?: (step: Step) => void;
}

/**
 * Hatches a butterfly: the same options give the same picture on every machine, to within 1 of 255 a byte on CPUs.
 * Requests are answered one after the other. Engine and weights (about 6 MB with compression) are fetched at the first.
 *
 * @throws Error with a sentence for people, when nothing can be loaded or an option makes no sense.
 */
export function hatch(options?: Options): Promise<ImageData>;

/**
 * `<chrysalis-butterfly seed="7">`: hatches when it comes into sight, and anew when an attribute changes. Attributes are those of
 * {@link Options}: seed, steps, sampler, weights, device. Fires "hatched" (detail: { picture: ImageData }) and
 * "failed" (detail: { error: Error }). Its canvas is the part "picture". 128 pixels wide unless the page says otherwise.
 */
export class ChrysalisButterfly extends HTMLElement {}

declare global {
  interface HTMLElementTagNameMap {
    "chrysalis-butterfly": ChrysalisButterfly;
  }
}
