// Cut audio into windows, pad the last one, and pass the state from each window to the next.

const BATCH = 8; // windows per run of the graph
const MAX_SAMPLE = 2 ** 23; // accepts 24-bit samples that were not scaled

/** Predict audio of one speaker, in blocks of any size. */
export class Stream {
  #model;
  #adapt;
  #state;
  #waiting = new Float32Array(0); // samples of windows that are not complete
  #windows = 0; // predicted so far, since the last flush

  /**
   * @param {Model} model - from `load`.
   * @param {object} [options]
   * @param {boolean} [options.adapt] - adapt the speaker profile to the audio.
   * @param {object} [options.profile] - `profile` of another stream; none by default.
   */
  constructor(model, { adapt = false, profile } = {}) {
    const { of } = model.metadata.profile ?? {};
    if (profile && (!of || profile.of !== of)) {
      throw new Error(`The profile must be of the same kind of model (${of ?? "one without profiles"}). Got ${profile.of}. Create the profile again.`);
    }
    this.#model = model;
    this.#adapt = adapt;
    this.#reset(profile?.state);
  }

  /** The adapted speaker profile, for another stream; undefined before the first speech. */
  get profile() {
    const { of, state: [weight] = [] } = this.#model.metadata.profile ?? {}; // weight: amount of speech
    return this.#state[weight]?.[0] >= 1 ? { of, state: this.#profileState() } : undefined;
  }

  /**
   * Add samples.
   * @param {Float32Array} samples - mono, 16 kHz, in [-1, 1]; any number.
   * @returns {Promise<object[]>} A segment for each window that they complete: start and end in
   *   seconds, label, probabilities, and recent where the model gives it. If it is rejected, the stream is unchanged.
   */
  async push(samples) {
    const copy = Float32Array.from(samples); // the caller may reuse the memory
    if (!copy.every((sample) => Math.abs(sample) <= MAX_SAMPLE)) {
      throw new RangeError(`Samples must be finite, at most ${MAX_SAMPLE}. Got others. Check the audio source.`);
    }
    return this.#model.queue(async () => {
      const { window, hop } = this.#model.metadata;
      const audio = new Float32Array(this.#waiting.length + copy.length);
      audio.set(this.#waiting);
      audio.set(copy, this.#waiting.length);
      const count = Math.max(0, Math.floor((audio.length - window) / hop) + 1);
      const segments = await this.#predict(audio, count);
      this.#waiting = audio.slice(count * hop);
      return segments;
    });
  }

  /**
   * Predict the remaining samples, and start new audio of the same speaker.
   * @returns {Promise<object[]>} One segment, or none if all samples were part of a window.
   */
  async flush() {
    return this.#model.queue(async () => {
      const { window, hop, tail } = this.#model.metadata;
      const overlap = this.#windows ? window - hop : 0; // samples that the last window predicted
      const pad = tail === "pad" || !this.#windows;
      const segments = await this.#predict(this.#waiting, this.#waiting.length > overlap && pad ? 1 : 0);
      this.#reset(this.#profileState());
      return segments;
    });
  }

  #profileState() {
    const names = this.#model.metadata.profile?.state ?? [];
    return Object.fromEntries(names.map((name) => [name, this.#state[name].slice()]));
  }

  /** Start new audio: all state is zero, except the speaker profile. */
  #reset(profile = {}) {
    const size = (shape) => shape.reduce((product, axis) => product * axis, 1);
    const state = this.#model.metadata.state.map(({ name, shape }) => [name, new Float32Array(profile[name] ?? size(shape))]);
    this.#state = Object.fromEntries(state);
    this.#waiting = new Float32Array(0);
    this.#windows = 0;
  }

  /** Segments of the first `count` windows; the audio is padded with zeros. */
  async #predict(audio, count) {
    const { window, hop, labels, sample_rate: rate } = this.#model.metadata;
    const segments = [];
    const named = (own) => Object.fromEntries(labels.map((label, column) => [label, own[column]]));
    let [probabilities, recent, state] = [[], undefined, this.#state];
    for (let first = 0; first < count; first += BATCH) {
      const size = Math.min(BATCH, count - first);
      const windows = new Float32Array(size * window);
      for (let row = 0; row < size; row++) {
        const from = (first + row) * hop;
        windows.set(audio.subarray(from, from + window), row * window);
      }
      [probabilities, recent, state] = await this.#run(windows, size, state);
      for (let row = 0; row < size; row++) {
        const start = (this.#windows + first + row) * hop;
        const length = Math.min(window, audio.length - (first + row) * hop);
        const range = [row * labels.length, (row + 1) * labels.length];
        const own = probabilities.subarray(...range);
        segments.push({
          start: start / rate,
          end: (start + length) / rate,
          label: labels[own.indexOf(Math.max(...own))],
          probabilities: named(own),
          ...(recent && { recent: named(recent.subarray(...range)) }),
        });
      }
    }
    this.#state = state; // only now: a failed run leaves the stream unchanged
    this.#windows += count;
    return segments;
  }

  /** Probabilities of windows, the recent ones or undefined, and the state after them. */
  async #run(windows, size, state) {
    const { metadata } = this.#model;
    const inputs = { windows: [windows, [size, metadata.window]] };
    if (metadata.profile) inputs.adapt = [Float32Array.of(this.#adapt ? 1 : 0), [1]];
    for (const { name, shape } of metadata.state) inputs[name] = [state[name], shape];
    const outputs = await this.#model.run(inputs);
    const probabilities = outputs.probabilities;
    if (probabilities.length !== size * metadata.labels.length || !probabilities.every((p) => p >= 0 && p <= 1)) {
      throw new Error("The model must return a number in [0, 1] for each label. Got others. Export it again.");
    }
    const recent = outputs.recent; // about the last seconds, where the model gives it
    return [probabilities, recent, Object.fromEntries(metadata.state.map(({ name }) => [name, outputs[`${name}_next`]]))];
  }
}
