// One page: a live voice through a socket, a recording through one request, and pictures of both.

import { at, csv, painter, save } from "./pictures.js";

const SHOWN = 120; // seconds of the live course
const model = await (await fetch("model")).json();
const { show, draw } = painter(model.labels);
let live = null; // what is open while a voice is heard
let segments = []; // answers of the live voice
let gone = 0; // seconds of the sounds before this one
let learned = null; // profile of the voice before this one
let recorded = [];
let asked = null; // recording

// ---------------------------------------------------------------- pictures

function drawAll() {
  const until = segments.at(-1)?.end ?? 0;
  const from = Math.max(0, until - SHOWN);
  draw(at("course"), segments.filter((each) => each.end > from), from, Math.max(until, from + SHOWN));
  if (recorded.length) draw(at("recorded"), recorded, 0, recorded.at(-1).end);
}

function showNone() {
  const probabilities = Object.fromEntries(model.labels.map((label) => [label, 0]));
  show({ label: live ? "listening" : "not listening", probabilities });
}

// -------------------------------------------------------------- who speaks

function learning() {
  return model.knows_speakers ? { adapt: at("adapt").checked ? 1 : 0 } : {};
}

/** The profile that was chosen, in base64. */
async function known() {
  const [file] = at("profile").files;
  if (!file) return null;
  const bytes = new Uint8Array(await file.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

// ------------------------------------------------------------ a live voice

async function listen() {
  const opened = (live = {}); // before the first wait, so that a second click ends it
  try {
    opened.media = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    for (const track of opened.media.getTracks()) {
      track.onended = () => live === opened && stop("The microphone is gone. Nothing is heard.", true);
    }
    opened.sound = new AudioContext();
    await opened.sound.audioWorklet.addModule("tap.js");
    const profile = await known();
    if (live === opened) converse(opened, profile);
    else close(opened);
  } catch (error) {
    close(opened);
    if (live === opened) end(`The microphone cannot be heard: ${error.message}.`, true);
  }
}

function converse(opened, profile) {
  const { media, sound } = opened;
  const query = new URLSearchParams({ rate: sound.sampleRate, ...learning() });
  const address = new URL(`stream?${query}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = Object.assign(new WebSocket(address), { binaryType: "arraybuffer" });
  const tap = new AudioWorkletNode(sound, "tap", { numberOfOutputs: 0 });
  opened.socket = socket;
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") learn(opened, data);
    else if (live === opened) hear(JSON.parse(data));
    else if (JSON.parse(data).error) socket.close(); // nothing was learned
  };
  socket.onclose = () => {
    close(opened);
    if (live === opened) end(opened.fault ?? "The service has ended. Nothing is heard.", true);
  };
  socket.onopen = () => {
    if (profile) socket.send(profile);
    tap.port.onmessage = ({ data }) => {
      if (live !== opened) return;
      meter(data);
      if (isOpen(socket)) socket.send(data);
    };
    sound.createMediaStreamSource(media).connect(tap);
    at("listen").textContent = "Stop";
    at("learned").disabled = !model.knows_speakers;
    showNone();
    tell("Listening. Answers come about every second.");
  };
}

function hear(message) {
  if (message.error) {
    live.fault = message.error; // why the socket closes, if it does
    live.saving = false;
    return tell(message.error, true);
  }
  live.fault = null;
  const segment = { ...message, start: message.start + gone, end: message.end + gone };
  segments.push(segment);
  show(segment);
  drawAll();
  at("keep").disabled = at("forget").disabled = false;
}

function learn(opened, profile) {
  learned = profile;
  if (opened.saving) saveProfile();
  opened.saving = false;
  if (live === opened) return;
  at("learned").disabled = false;
  opened.socket.close();
}

/** Hear nothing more; the socket closes once it has given what was learned. */
function stop(words = "Stopped. Nothing is heard.", fault = false) {
  const stopped = live;
  end(words, fault);
  if (!model.knows_speakers || !isOpen(stopped.socket)) return close(stopped);
  mute(stopped);
  stopped.socket.send("profile");
}

function close(opened) {
  mute(opened);
  opened.socket?.close();
}

function mute({ media, sound }) {
  for (const track of media?.getTracks() ?? []) track.stop();
  if (sound && sound.state !== "closed") sound.close();
}

function isOpen(socket) {
  return socket?.readyState === WebSocket.OPEN;
}

function end(words, fault = false) {
  live = null;
  gone = segments.at(-1)?.end ?? 0;
  at("listen").textContent = "Listen";
  at("learned").disabled = !learned;
  at("level").value = -60;
  at("now").textContent = "not listening";
  at("now").style.color = "";
  tell(words, fault);
}

function meter(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  at("level").value = 10 * Math.log10(power + 1e-9);
}

function saveProfile() {
  save("voice.profile", learned);
}

// ------------------------------------------------------------- a recording

async function answerTo(file) {
  const profile = await known();
  const headers = profile === null ? {} : { Profile: profile };
  return (await fetch(`predict?${new URLSearchParams(learning())}`, { method: "POST", body: file, headers })).json();
}

async function predict(file) {
  asked = file;
  at("answer").textContent = `hearing ${file.name} …`;
  at("answer").classList.remove("fault");
  const answer = await answerTo(file).catch((error) => ({ error: `The service cannot be asked: ${error.message}.` }));
  if (asked !== file) return; // a later one has been asked about
  at("answer").classList.toggle("fault", Boolean(answer.error));
  recorded = answer.segments ?? [];
  at("recorded").hidden = !recorded.length;
  at("answer").textContent =
    answer.error ??
    `${file.name}, ${answer.duration.toFixed(1)} s: ${answer.label} ` +
      `(${model.labels.map((label) => `${label} ${Math.round(100 * answer.probabilities[label])} %`).join(", ")})`;
  drawAll();
}

// ----------------------------------------------------------------- the rest

function tell(words, fault = false) {
  at("about").textContent = words;
  at("about").classList.toggle("fault", fault);
}

tell(`Press the button and speak. The sound goes to the service at ${location.host} and no further.`);
at("model").textContent = `model ${model.name}, ${model.licence}`;
at("person").hidden = !model.knows_speakers;
at("listen").onclick = () => (live ? stop() : listen());
at("learned").onclick = () => {
  if (!isOpen(live?.socket)) return saveProfile();
  live.saving = true; // once it comes
  live.socket.send("profile");
};
at("keep").onclick = () => save("answers.csv", csv(model.labels, segments));
at("forget").onclick = () => {
  [segments, gone] = [[], 0];
  at("keep").disabled = at("forget").disabled = true;
  showNone();
  drawAll();
};
at("file").onchange = ({ target }) => target.files[0] && predict(target.files[0]);
for (const kind of ["dragover", "dragleave", "drop"]) {
  at("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) predict(event.dataTransfer.files[0]);
  });
}
window.addEventListener("resize", drawAll);
drawAll();
