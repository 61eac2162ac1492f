// Record the microphone.

import { Resampler } from "./resampler.js";

const SOUND = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** Start the microphone; see affekt.d.ts. */
export async function startMicrophone(onSamples, { sampleRate, onEnd = () => {} } = {}) {
  const media = await navigator.mediaDevices.getUserMedia({ audio: SOUND });
  let context;
  const stop = () => {
    for (const track of media.getTracks()) track.stop();
    if (context && context.state !== "closed") context.close();
  };
  try {
    let source;
    try {
      context = new AudioContext({ sampleRate }); // the browser resamples
      source = context.createMediaStreamSource(media);
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      await context?.close();
      context = new AudioContext(); // Firefox does not resample
      source = context.createMediaStreamSource(media);
    }
    await context.audioWorklet.addModule(new URL("./microphone-worklet.js", import.meta.url));
    const rate = sampleRate ?? context.sampleRate;
    const resampler = rate === context.sampleRate ? undefined : new Resampler(context.sampleRate, rate);
    const node = new AudioWorkletNode(context, "affekt-microphone", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => onSamples(resampler?.push(data) ?? data);
    source.connect(node);
    for (const track of media.getTracks()) track.onended = () => (stop(), onEnd());
    return { sampleRate: rate, stop };
  } catch (error) {
    stop();
    throw error;
  }
}
