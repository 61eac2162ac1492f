// Run the model in the browser.

import { Stream, decode, load, readProfile, writeProfile } from "./affekt/affekt.js";

const BLOCK = 10; // seconds of a recording, between which the microphone has its turn

/**
 * Load the model.
 * @param {object} file - `address` and `sha256`.
 * @returns {Promise<object>} `sampleRate` that `live` needs, if any; a `note` about the audio's way; what to say if it is
 *   too `slow`; and `live(rate, { adapt, profile, channels }, { onSegment, onFault, onEnd })`, which returns `push`,
 *   `waiting` (seconds that are not sent or predicted yet), `profile` and `close`; of several channels, each is one
 *   speaker without a profile, and segments have their channel; and `recording(file, { adapt, profile })`, which
 *   returns an answer. Profiles are bytes of files.
 */
export async function inBrowser({ address, sha256 }) {
  const model = await load(address, { sha256: isSecureContext ? sha256 : undefined, worker: true });
  const rate = model.metadata.sample_rate;
  const newStream = ({ adapt, profile }) => new Stream(model, { adapt, profile: profile && readProfile(model, profile) });

  async function live(_, { channels, ...options }, { onSegment, onEnd }) {
    const streams = Array.from({ length: channels }, () => newStream(options));
    const [stream] = streams;
    let waiting = 0; // samples
    const onError = (error) => onEnd(`This audio cannot be processed. ${error.message || error.name}`);
    const named = (channel) => (segment) => onSegment(channels > 1 ? { ...segment, channel } : segment);
    return {
      push: (...blocks) =>
        blocks.forEach((samples, channel) => {
          waiting += samples.length;
          const done = streams[channel].push(samples).finally(() => (waiting -= samples.length));
          done.then((segments) => segments.forEach(named(channel)), onError);
        }),
      waiting: () => waiting / (channels * rate),
      async profile() {
        if (!stream.profile) throw new Error("There is no profile yet. Speak longer.");
        return writeProfile(model, stream.profile);
      },
      close() {},
    };
  }

  async function recording(file, options) {
    const samples = await decode(file).catch(() => {
      throw new Error("must be audio that this browser decodes. Got another file. Convert it to WAV or MP3.");
    });
    const stream = newStream(options);
    const segments = [];
    for (let from = 0; from < samples.length; from += BLOCK * rate) {
      segments.push(...(await stream.push(samples.subarray(from, from + BLOCK * rate))));
    }
    segments.push(...(await stream.flush()));
    if (!segments.length) throw new Error("must hold samples. Got none. Choose another file.");
    const { label, probabilities } = segments.at(-1);
    return { duration: samples.length / rate, label, probabilities, segments };
  }

  return {
    sampleRate: rate,
    note: "The model runs in this page. No audio leaves it.",
    slow: "This device is too slow for the model. Close other programs, and start the microphone again.",
    live,
    recording,
  };
}
