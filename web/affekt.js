// Run a model file of affekt in a browser: predict the emotion of audio, window by window.
//
// The graph in the file computes log-mel features, normalizes and classifies windows.

import { fetchModelFile, readMetadata } from "./model-file.js";
import { createSession } from "./session.js";

export { decode } from "./decoding.js";
export { startMicrophone } from "./microphone.js";
export { readProfile, writeProfile } from "./profile.js";
export { Stream } from "./stream.js";

/** Load a model; see affekt.d.ts. */
export async function load(source, { sha256, worker = false } = {}) {
  const file = await fetchModelFile(source, sha256);
  const metadata = readMetadata(file);
  return new Model(metadata, await (worker ? startWorker(file) : createSession(file)));
}

class Model {
  #last = Promise.resolve();

  constructor(metadata, { run, close }) {
    Object.assign(this, { metadata, run });
    let closing;
    this.close = () => {
      closing ??= this.queue(close);
      this.queue = () => Promise.reject(new Error("The model is closed. Load it again."));
      return closing;
    };
  }

  /** Run work after all earlier work is done: a session runs one thing at a time. */
  queue(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

/** Create a session in a worker, so that the page stays responsive. */
async function startWorker(file) {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const ask = (message, transfer = []) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.error === undefined ? resolve(data.outputs) : reject(new Error(data.error)));
      worker.onerror = () => reject(new Error("The worker cannot be started. Serve worker.js beside affekt.js."));
      worker.postMessage(message, transfer);
    });
  const copy = file.slice(); // the caller's bytes stay as they are
  try {
    await ask({ file: copy }, [copy.buffer]);
  } catch (error) {
    worker.terminate();
    throw error;
  }
  return { run: (inputs) => ask({ inputs }), close: async () => worker.terminate() };
}
