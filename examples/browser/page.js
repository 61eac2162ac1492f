// The model in the page: a live voice or a recording, and no server that hears them.

import { Stream, load } from "./affekt.js";
import { at, csv, painter, save } from "./pictures.js";

const SHOWN = 120; // seconds of the course
const PIECE = 10; // seconds of a recording that are heard at a time
const { model, tap } = await all().catch((error) => {
  at("model").textContent = "no model";
  tell(`The page is not whole, and hears nothing. ${error.message}`, true);
  throw error;
});
const { labels, sample_rate: sampleRate } = model.note;
const { show, draw } = painter(labels);
const nothing = { label: "not listening", probabilities: Object.fromEntries(labels.map((label) => [label, 0])) };
let person; // what was learned of who speaks into the microphone, until the page is closed
let heard = { segments: [] };

/** All that the page needs of its server, before the first sound. */
async function all() {
  const [file, code] = await Promise.all(["affekt.onnx", "tap.js"].map(fetched));
  return { model: await load(new Uint8Array(await file.arrayBuffer())), tap: URL.createObjectURL(await code.blob()) };
}

async function fetched(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} cannot be fetched: ${response.status} ${response.statusText}`);
  return response;
}

/** Another sound: what was heard before is no longer shown. Only a live voice is that of who was heard before. */
function begin(live) {
  end();
  const adapt = at("adapt").checked;
  heard = { segments: [], live, adapt, stream: new Stream(model, { adapt, person: live ? person : undefined }) };
  draw(at("course"), [], 0, 1);
  at("keep").disabled = true;
  return heard;
}

/** Nothing is heard any more; what was answered may still be saved. */
function end(words = "Stopped. Nothing is heard.", fault = false) {
  close(heard);
  heard = { segments: heard.segments }; // another voice: answers on their way are dropped
  show(nothing);
  at("listen").textContent = "Listen";
  tell(words, fault);
}

function fail(voice, error) {
  if (voice === heard) end(`This cannot be heard. ${error.message || error.name}`, true);
}

function close(voice) {
  for (const track of voice.media?.getTracks() ?? []) track.stop();
  voice.sound?.close();
  voice.media = voice.sound = undefined;
}

function take(voice, segments) {
  if (voice !== heard || !segments.length) return;
  voice.segments.push(...segments);
  show(segments.at(-1));
  const until = voice.segments.at(-1).end;
  draw(at("course"), voice.segments, Math.max(0, until - SHOWN), Math.max(until, 1));
  at("keep").disabled = false;
  if (voice.live && voice.adapt) know(voice.stream.person);
}

function know(someone) {
  person = someone;
  at("forget").disabled = !person;
}

async function listen() {
  const voice = begin(true);
  tell("Asking for the microphone …");
  at("listen").disabled = true;
  try {
    voice.media = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    voice.sound = new AudioContext({ sampleRate }); // the browser resamples
    await voice.sound.audioWorklet.addModule(tap);
    if (voice !== heard) return close(voice);
    connect(voice);
    at("listen").textContent = "Stop";
    tell("Listening. No sound leaves this page.");
  } catch (error) {
    fail(voice, error);
    close(voice);
  } finally {
    at("listen").disabled = false;
  }
}

function connect(voice) {
  const node = new AudioWorkletNode(voice.sound, "tap", { numberOfOutputs: 0 });
  node.port.onmessage = ({ data }) =>
    voice.stream.push(data).then((found) => take(voice, found)).catch((error) => fail(voice, error));
  try {
    voice.sound.createMediaStreamSource(voice.media).connect(node);
  } catch (error) {
    if (error.name !== "NotSupportedError") throw error;
    throw new Error("This browser does not bring its microphone to 16 kHz. A Chromium-based one does, or Safari.");
  }
}

async function hear(file) {
  const voice = begin(false);
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
    fail(voice, error);
  }
}

function forget() {
  if (heard.live) end(); // that stream knows the voice as well
  know(undefined);
}

function tell(words, fault = false) {
  at("about").textContent = words;
  at("about").classList.toggle("fault", fault);
}

at("model").textContent = `model ${model.note.name}, ${model.note.licence}`;
at("listen").onclick = () => (heard.live ? end() : listen());
at("file").onchange = ({ target }) => target.files[0] && hear(target.files[0]);
at("keep").onclick = () => save("answers.csv", csv(labels, heard.segments));
at("forget").onclick = forget;
at("listen").disabled = at("file").disabled = false;
