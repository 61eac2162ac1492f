// A model file of affekt and a voice to an answer for each window, in a browser.
//
// What the graph does not do is here: windows are cut, the last one is padded, and what a window
// leaves behind goes into the next.

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";

const METADATA = 14; // the field of an ONNX file, as onnx.proto numbers it
const BATCH = 8; // windows a run

env.wasm.numThreads = 1; // more need a page that is isolated from others, and gain little here

/**
 * Load a model.
 * @param {Uint8Array} file - what `affekt export` wrote.
 * @returns {Promise<Model>} It may serve any number of voices.
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
  #windows = 0; // answered so far

  /**
   * @param {Model} model - from `load`.
   * @param {object} [options]
   * @param {boolean} [options.adapt] - learn the person from what is heard.
   * @param {object} [options.person] - what another stream learned, its `person`.
   */
  constructor(model, { adapt = false, person = {} } = {}) {
    this.#model = model;
    this.#adapt = adapt;
    const silent = ({ name, shape }) => [name, person[name] ?? new Float32Array(shape.reduce((a, b) => a * b, 1))];
    this.#state = Object.fromEntries(model.note.state.map(silent));
  }

  /** Who speaks, as far as it is known: arrays that may be kept for another stream. */
  get person() {
    const names = this.#model.note.profile?.state ?? [];
    return Object.fromEntries(names.map((name) => [name, this.#state[name].slice()]));
  }

  /**
   * Take the next samples.
   * @param {Float32Array} samples - mono, 16 kHz, in [-1, 1]; any number.
   * @returns {Promise<object[]>} A segment for each window that they complete: start and end in
   *   seconds, label, probabilities.
   */
  push(samples) {
    const given = Float32Array.from(samples); // the caller may use the memory again
    if (!given.every(Number.isFinite)) throw new RangeError("Samples must be finite numbers. Got others. Repair them.");
    return this.#model.inTurn(() => {
      const { window, hop } = this.#model.note;
      const sound = new Float32Array(this.#waiting.length + given.length);
      sound.set(this.#waiting);
      sound.set(given, this.#waiting.length);
      const count = Math.max(0, Math.floor((sound.length - window) / hop) + 1);
      this.#waiting = sound.slice(count * hop);
      return this.#answer(sound, count);
    });
  }

  /**
   * End the sound. Another one needs another stream.
   * @returns {Promise<object[]>} The segment of what is left, if some of it was not heard.
   */
  flush() {
    return this.#model.inTurn(() => {
      const { window, hop, tail } = this.#model.note;
      const heard = this.#windows ? window - hop : 0; // of it, by the window before
      const left = this.#waiting.length > heard && (tail === "pad" || !this.#windows);
      return this.#answer(this.#waiting, left ? 1 : 0);
    });
  }

  async #answer(sound, count) {
    const { window, hop, labels, sample_rate: rate } = this.#model.note;
    const segments = [];
    for (let first = 0; first < count; first += BATCH) {
      const size = Math.min(BATCH, count - first);
      const windows = new Float32Array(size * window);
      for (let row = 0; row < size; row++) {
        const at = (first + row) * hop;
        windows.set(sound.subarray(at, at + window), row * window); // zeros where it has ended
      }
      const shares = await this.#run(windows, size);
      for (let row = 0; row < size; row++) {
        const start = this.#windows++ * hop;
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
    return segments;
  }

  async #run(windows, size) {
    const { note } = this.#model;
    const tensors = { windows: new Tensor(windows, [size, note.window]) };
    if (note.profile) tensors.adapt = new Tensor(Float32Array.of(this.#adapt ? 1 : 0), [1]);
    for (const { name, shape } of note.state) tensors[name] = new Tensor(this.#state[name], shape);
    const found = await this.#model.session.run(tensors);
    for (const { name } of note.state) this.#state[name] = found[`${name}_next`].data.slice();
    return found.probabilities.data.slice();
  }
}

/** What a model file says of itself: the entry `affekt` of its metadata. */
function noteOf(file) {
  const text = new TextDecoder();
  for (const [field, content] of fields(file)) {
    if (field !== METADATA) continue;
    const entry = Object.fromEntries(fields(content)); // key 1, value 2
    if (text.decode(entry[1]) === "affekt") return JSON.parse(text.decode(entry[2]));
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
