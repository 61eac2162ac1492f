// Record the microphone.

import { Resampler } from "./resampler.js";

const SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** Start the microphone; see affekt.d.ts. */
export async function startMicrophone(onSamples, { sampleRate, channels = 1, onEnd = () => {} } = {}) {
  if (!navigator.mediaDevices) throw new Error(`The page must come from HTTPS or localhost. Got ${location.origin}.`);
  const media = await navigator.mediaDevices.getUserMedia({ audio: { ...SOUND, channelCount: channels } });
  let context, node;
  const stop = () => {
    for (const track of media.getTracks()) track.stop();
    if (node) node.port.onmessage = null; // samples may be on their way
    context?.close().catch(() => {}); // perhaps closed before
  };
  try {
    const { channelCount = channels } = media.getAudioTracks()[0].getSettings();
    if (channelCount < channels) {
      throw new Error(`The microphone must give ${channels} channels. Got ${channelCount}. Choose another one.`);
    }
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
    // Vite makes a small file a data: address, which content security policies forbid
    await context.audioWorklet.addModule(new URL("./microphone-worklet.js?no-inline", import.meta.url));
    const rate = sampleRate ?? context.sampleRate;
    const newResampler = () => (rate === context.sampleRate ? undefined : new Resampler(context.sampleRate, rate));
    const resamplers = Array.from({ length: channels }, newResampler);
    const channelInterpretation = channels > 1 ? "discrete" : "speakers"; // of several, one is the mean
    const wanted = { channelCount: channels, channelCountMode: "explicit", channelInterpretation };
    const given = { numberOfOutputs: 0, processorOptions: { channels }, ...wanted };
    node = new AudioWorkletNode(context, "affekt-microphone", given);
    node.port.onmessage = ({ data }) => onSamples(...data.map((block, n) => resamplers[n]?.push(block) ?? block));
    source.connect(node);
    context.onstatechange = () => ["suspended", "interrupted"].includes(context.state) && context.resume().catch(() => {}); // iOS: after a call
    const [track] = media.getAudioTracks();
    if (track.readyState === "ended") throw new Error("The microphone was disconnected. Connect it and start again.");
    track.onended = () => (stop(), onEnd());
    return { sampleRate: rate, stop };
  } catch (error) {
    stop();
    throw error;
  }
}
