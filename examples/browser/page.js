// The model in the page: a live voice or a recording, and no server that hears them.

import { Stream, load } from "./affekt.js";
import { at, csv, painter, save } from "./pictures.js";

const SHOWN = 120; // seconds of the course
const PIECE = 10; // seconds of a recording that are heard at a time
const model = await load(new Uint8Array(await (await fetch("affekt.onnx")).arrayBuffer()));
const { labels, sample_rate: sampleRate } = model.note;
const { show, draw } = painter(labels);
let person; // what was learned of who speaks, until the page is closed
let heard = { segments: [] };

/** Another sound: what was heard before is no longer shown. */
function begin() {
  const adapt = at("adapt").checked;
  heard = { segments: [], adapt, stream: new Stream(model, { adapt, person }) };
  return heard;
}

function take(voice, segments) {
  if (voice !== heard) return; // another one has begun meanwhile
  voice.segments.push(...segments);
  if (voice.adapt) person = voice.stream.person;
  if (segments.length) show(segments.at(-1));
  const until = voice.segments.at(-1)?.end ?? 0;
  draw(at("course"), voice.segments, Math.max(0, until - SHOWN), Math.max(until, 1));
  at("keep").disabled = !voice.segments.length;
}

async function listen() {
  const voice = begin();
  at("listen").disabled = true;
  try {
    voice.media = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    voice.sound = new AudioContext({ sampleRate }); // the browser resamples
    await voice.sound.audioWorklet.addModule("tap.js");
    if (voice !== heard) return close(voice);
    const tap = new AudioWorkletNode(voice.sound, "tap", { numberOfOutputs: 0 });
    tap.port.onmessage = ({ data }) => voice.stream.push(data).then((found) => take(voice, found)).catch(fail);
    voice.sound.createMediaStreamSource(voice.media).connect(tap);
    voice.live = true;
    at("listen").textContent = "Stop";
    tell("Listening. No sound leaves this page.");
  } catch (error) {
    close(voice);
    if (voice === heard) fail(error);
  } finally {
    at("listen").disabled = false;
  }
}

function stop() {
  close(heard);
  heard.live = false;
  at("listen").textContent = "Listen";
}

function close({ media, sound }) {
  for (const track of media?.getTracks() ?? []) track.stop();
  if (sound && sound.state !== "closed") sound.close();
}

async function hear(file) {
  stop();
  const voice = begin();
  tell(`Hearing ${file.name} …`);
  try {
    const decoder = new OfflineAudioContext(1, 1, sampleRate); // resamples what it decodes
    const sound = await decoder.decodeAudioData(await file.arrayBuffer());
    const channels = Array.from({ length: sound.numberOfChannels }, (_, number) => sound.getChannelData(number));
    const mono = channels[0].map((_, sample) => channels.reduce((sum, each) => sum + each[sample], 0) / channels.length);
    const begun = performance.now();
    for (let from = 0; from < mono.length && voice === heard; from += PIECE * sampleRate) {
      take(voice, await voice.stream.push(mono.subarray(from, from + PIECE * sampleRate)));
      await new Promise((go) => setTimeout(go)); // the page is drawn
    }
    take(voice, await voice.stream.flush());
    const seconds = (performance.now() - begun) / 1000;
    if (voice === heard) tell(`${file.name}: ${sound.duration.toFixed(1)} s, heard in ${seconds.toFixed(2)} s.`);
  } catch (error) {
    if (voice === heard) fail(error);
  }
}

function fail(error) {
  stop();
  tell(`This cannot be heard: ${error.message || error.name}.`, true);
}

function tell(words, fault = false) {
  at("about").textContent = words;
  at("about").classList.toggle("fault", fault);
}

at("model").textContent = `model ${model.note.name}, ${model.note.licence}`;
at("listen").onclick = () => (heard.live ? stop() : listen());
at("file").onchange = ({ target }) => target.files[0] && hear(target.files[0]);
at("keep").onclick = () => save("answers.csv", csv(labels, heard.segments));
at("listen").disabled = at("file").disabled = false;
