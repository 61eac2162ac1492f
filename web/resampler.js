// Resample a stream to a lower sample rate with a windowed sinc filter.

const ZEROS = 16; // zero crossings of the filter on each side
const CUTOFF = 0.95; // of the lower Nyquist frequency

export class Resampler {
  #from;
  #to;
  #half; // samples on each side of a filter
  #filters = new Map(); // by phase
  #samples; // that later output needs
  #next = 0; // number of the next output sample
  #first; // number of the first sample in #samples

  /** @param {number} from - Hz. @param {number} to - Hz; integers both. */
  constructor(from, to) {
    [this.#from, this.#to] = [from, to];
    this.#half = Math.ceil((ZEROS * Math.max(from / to, 1)) / CUTOFF);
    this.#samples = new Float32Array(this.#half); // silence before the stream
    this.#first = -this.#half;
  }

  /** Return the output that the samples complete. */
  push(block) {
    const samples = new Float32Array(this.#samples.length + block.length);
    samples.set(this.#samples);
    samples.set(block, this.#samples.length);
    const end = this.#first + samples.length;
    const output = [];
    let center = Math.floor((this.#next * this.#from) / this.#to);
    while (center + this.#half < end) {
      const filter = this.#filter((this.#next * this.#from) % this.#to);
      const from = center - this.#half + 1 - this.#first;
      output.push(filter.reduce((sum, weight, tap) => sum + weight * samples[from + tap], 0));
      center = Math.floor((++this.#next * this.#from) / this.#to);
    }
    const keep = Math.max(0, center - this.#half + 1 - this.#first);
    this.#samples = samples.slice(keep);
    this.#first += keep;
    return Float32Array.from(output);
  }

  #filter(phase) {
    if (!this.#filters.has(phase)) {
      const scale = CUTOFF * Math.min(this.#to / this.#from, 1);
      const weights = Float64Array.from({ length: 2 * this.#half }, (_, tap) => {
        const time = tap - this.#half + 1 - phase / this.#to;
        const sinc = time === 0 ? 1 : Math.sin(Math.PI * time * scale) / (Math.PI * time * scale);
        return Math.abs(time) > this.#half ? 0 : scale * sinc * Math.cos((Math.PI * time) / (2 * this.#half)) ** 2;
      });
      this.#filters.set(phase, weights);
    }
    return this.#filters.get(phase);
  }
}
