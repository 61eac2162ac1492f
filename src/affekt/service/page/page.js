// One page: a live voice through a socket, a recording through one request, and pictures of both.

import { at, csv, painter, save } from "./pictures.js";

const SHOWN = 120; // seconds of the live course
const model = await (await fetch("model")).json();
const { show, draw } = painter(model.labels);
let live = null; // what is open while a voice is heard
let segments = []; // answers of the live voice
let gone = 0; // seconds of the sounds before this one
let recorded = [];
let asked = null; // recording

// ---------------------------------------------------------------- pictures

function drawAll() {
  const until = segments.at(-1)?.end ?? 0;
  const from = Math.max(0, until - SHOWN);
  draw(at("course"), segments.filter((each) => each.end > from), from, Math.max(until, from + SHOWN));
  if (recorded.length) draw(at("recorded"), recorded, 0, recorded.at(-1).end);
}

// ------------------------------------------------------------ a live voice

async function listen() {
  const opened = (live = {}); // before the first wait, so that a second click ends it
  try {
    opened.media = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    opened.sound = new AudioContext();
    await opened.sound.audioWorklet.addModule("tap.js");
    const known = at("profile").files[0];
    const profile = known && base64(new Uint8Array(await known.arrayBuffer()));
    if (live === opened) converse(opened, profile);
    else close(opened);
  } catch (error) {
    close(opened);
    if (live === opened) end(`The microphone cannot be heard: ${error.message}.`, true);
  }
}

function converse(opened, profile) {
  const { media, sound } = opened;
  const query = new URLSearchParams({ rate: sound.sampleRate });
  if (model.knows_speakers) query.set("adapt", at("adapt").checked ? 1 : 0);
  const address = new URL(`stream?${query}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = Object.assign(new WebSocket(address), { binaryType: "arraybuffer" });
  const tap = new AudioWorkletNode(sound, "tap", { numberOfOutputs: 0 });
  opened.socket = socket;
  socket.onmessage = ({ data }) => (typeof data === "string" ? hear(JSON.parse(data)) : save("voice.profile", data));
  socket.onclose = () => {
    close(opened);
    if (live === opened) end(opened.fault ?? "The service has ended. Nothing is heard.", true);
  };
  socket.onopen = () => {
    if (profile) socket.send(profile);
    tap.port.onmessage = ({ data }) => {
      meter(data);
      if (socket.readyState === WebSocket.OPEN) socket.send(data);
    };
    sound.createMediaStreamSource(media).connect(tap);
    at("listen").textContent = "Stop";
    at("learned").disabled = !model.knows_speakers;
    tell("Listening. Answers come about every second.");
  };
}

function hear(message) {
  if (message.error) {
    if (live) live.fault = message.error; // why the socket closes, if it does
    return tell(message.error, true);
  }
  if (live) live.fault = null;
  const segment = { ...message, start: message.start + gone, end: message.end + gone };
  segments.push(segment);
  show(segment);
  drawAll();
  at("keep").disabled = at("forget").disabled = false;
}

function stop() {
  close(live);
  end("Stopped. Nothing is heard.");
}

function close({ media, sound, socket }) {
  for (const track of media?.getTracks() ?? []) track.stop();
  if (sound && sound.state !== "closed") sound.close();
  socket?.close();
}

function end(words, fault = false) {
  live = null;
  gone = segments.at(-1)?.end ?? 0;
  at("listen").textContent = "Listen";
  at("learned").disabled = true;
  at("level").value = -60;
  at("now").textContent = "not listening";
  at("now").style.color = "";
  tell(words, fault);
}

function meter(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  at("level").value = 10 * Math.log10(power + 1e-9);
}

function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

// ------------------------------------------------------------- a recording

async function predict(file) {
  asked = file;
  at("answer").textContent = `hearing ${file.name} …`;
  at("answer").classList.remove("fault");
  const answer = await fetch("predict", { method: "POST", body: file })
    .then((response) => response.json())
    .catch((error) => ({ error: `The service cannot be asked: ${error.message}.` }));
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
at("learned").onclick = () => live?.socket.send("profile");
at("keep").onclick = () => save("answers.csv", csv(model.labels, segments));
at("forget").onclick = () => {
  [segments, gone] = [[], 0];
  at("keep").disabled = at("forget").disabled = true;
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
