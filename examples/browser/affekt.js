// A model file of affekt and a voice to an answer for each window, in a browser.
//
// What the graph does not do is here: windows are cut, the last one is padded, and what a window
// leaves behind goes into the next.

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";

const METADATA = 14; // the field of an ONNX file, as onnx.proto numbers it
const EXPECTED = { format: 1, sample_rate: 16_000, window: 15_600 };
const BATCH = 8; // windows a run
const LOUDEST = 2 ** 23; // no sample is larger, not even one of 24 bits left unscaled

env.wasm.numThreads = 1; // more need a page that is isolated from others, and gain little here

/**
 * Load a model.
 * @param {Uint8Array} file - what `affekt export` wrote.
 * @returns {Promise<Model>} It may serve any number of voices. Rejected where the file is no such model.
 */
export async function load(file) {
  const note = noteOf(file);
  return new Model(note, await InferenceSession.create(file));
}

class Model {
  #last = Promise.resolve();

  constructor(note, session) {
    this.note = note;
    this.session = session;
  }

  /** Work that begins when what was asked for before is done: a session does one thing at a time. */
  inTurn(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

/** One voice on its way in. */
export class Stream {
  #model;
  #adapt;
  #state;
  #waiting = new Float32Array(0);
  #windows = 0; // answered so far, of this sound

  /**
   * @param {Model} model - from `load`.
   * @param {object} [options]
   * @param {boolean} [options.adapt] - learn the person from what is heard.
   * @param {object} [options.person] - what another stream learned, its `person`; nobody by default.
   */
  constructor(model, { adapt = false, person } = {}) {
    const { of } = model.note.profile ?? {};
    if (person && (!of || person.of !== of)) {
      throw new Error(`A person must be known to this kind of model, ${of}. Got one of ${person.of}. Learn the voice again.`);
    }
    this.#model = model;
    this.#adapt = adapt;
    this.#begin(person?.state);
  }

  /** Who speaks, to be kept for another stream; undefined while no speech was heard. */
  get person() {
    const { of, state: [weight] = [] } = this.#model.note.profile ?? {}; // how much was heard
    return this.#state[weight]?.[0] >= 1 ? { of, state: this.#known() } : undefined;
  }

  /**
   * Take the next samples.
   * @param {Float32Array} samples - mono, 16 kHz, in [-1, 1]; any number.
   * @returns {Promise<object[]>} A segment for each window that they complete: start and end in
   *   seconds, label, probabilities. Where it is rejected, nothing was taken.
   */
  async push(samples) {
    const given = Float32Array.from(samples); // the caller may use the memory again
    if (!given.every((sample) => Math.abs(sample) <= LOUDEST)) {
      throw new RangeError(`Samples must be finite, at most ${LOUDEST}. Got others. Repair them.`);
    }
    return this.#model.inTurn(async () => {
      const { window, hop } = this.#model.note;
      const sound = new Float32Array(this.#waiting.length + given.length);
      sound.set(this.#waiting);
      sound.set(given, this.#waiting.length);
      const count = Math.max(0, Math.floor((sound.length - window) / hop) + 1);
      const segments = await this.#answer(sound, count);
      this.#waiting = sound.slice(count * hop);
      return segments;
    });
  }

  /**
   * End the sound and start a new one, of the same person.
   * @returns {Promise<object[]>} The segment of what is left, if some of it was not heard.
   */
  async flush() {
    return this.#model.inTurn(async () => {
      const { window, hop, tail } = this.#model.note;
      const heard = this.#windows ? window - hop : 0; // of it, by the window before
      const left = this.#waiting.length > heard && (tail === "pad" || !this.#windows);
      const segments = await this.#answer(this.#waiting, left ? 1 : 0);
      this.#begin(this.#known());
      return segments;
    });
  }

  #known() {
    const names = this.#model.note.profile?.state ?? [];
    return Object.fromEntries(names.map((name) => [name, this.#state[name].slice()]));
  }

  /** A new sound: nothing is known but who speaks. */
  #begin(known = {}) {
    const silent = (shape) => shape.reduce((size, axis) => size * axis, 1); // as many zeros
    const state = this.#model.note.state.map(({ name, shape }) => [name, new Float32Array(known[name] ?? silent(shape))]);
    this.#state = Object.fromEntries(state);
    this.#waiting = new Float32Array(0);
    this.#windows = 0;
  }

  async #answer(sound, count) {
    const { window, hop, labels, sample_rate: rate } = this.#model.note;
    const segments = [];
    let [shares, state] = [[], this.#state];
    for (let first = 0; first < count; first += BATCH) {
      const size = Math.min(BATCH, count - first);
      const windows = new Float32Array(size * window);
      for (let row = 0; row < size; row++) {
        const at = (first + row) * hop;
        windows.set(sound.subarray(at, at + window), row * window); // zeros where it has ended
      }
      [shares, state] = await this.#run(windows, size, state);
      for (let row = 0; row < size; row++) {
        const start = (this.#windows + first + row) * hop;
        const seen = Math.min(window, sound.length - (first + row) * hop);
        const own = shares.subarray(row * labels.length, (row + 1) * labels.length);
        segments.push({
          start: start / rate,
          end: (start + seen) / rate,
          label: labels[own.indexOf(Math.max(...own))],
          probabilities: Object.fromEntries(labels.map((label, column) => [label, own[column]])),
        });
      }
    }
    this.#state = state; // only now: a run that fails leaves the stream as it was
    this.#windows += count;
    return segments;
  }

  /** Probabilities of some windows, and the state after them. */
  async #run(windows, size, state) {
    const { note } = this.#model;
    const tensors = { windows: new Tensor(windows, [size, note.window]) };
    if (note.profile) tensors.adapt = new Tensor(Float32Array.of(this.#adapt ? 1 : 0), [1]);
    for (const { name, shape } of note.state) tensors[name] = new Tensor(state[name], shape);
    const found = await this.#model.session.run(tensors);
    const shares = found.probabilities.data.slice();
    if (shares.length !== size * note.labels.length || !shares.every((share) => share >= 0 && share <= 1)) {
      throw new Error("The model must answer a number in [0, 1] for each label. Got others. Export it again.");
    }
    return [shares, Object.fromEntries(note.state.map(({ name }) => [name, found[`${name}_next`].data.slice()]))];
  }
}

/** What a model file says of itself, checked: the entry `affekt` of its metadata. */
function noteOf(file) {
  const text = new TextDecoder();
  for (const [field, content] of fields(file)) {
    if (field !== METADATA) continue;
    const entry = Object.fromEntries(fields(content)); // key 1, value 2
    if (text.decode(entry[1]) !== "affekt") continue;
    const note = JSON.parse(text.decode(entry[2]));
    for (const [key, value] of Object.entries(EXPECTED)) {
      if (note[key] !== value) throw new Error(`A model's ${key} must be ${value}. Got ${note[key]}. Export it again.`);
    }
    return note;
  }
  throw new Error("A model must be a file that affekt export wrote. Got another.");
}

/** The fields of a protocol buffer that have a length: numbers and bytes. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (!(byte & 128)) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key & 7;
    if (kind === 0) varint();
    else if (kind === 2) {
      const size = varint();
      yield [key >> 3, bytes.subarray(at, at + size)];
      at += size;
    } else at += kind === 1 ? 8 : 4;
  }
}
