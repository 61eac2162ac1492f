// Send the microphone's audio through a WebSocket and recordings by a request, and show the predictions.

import { startMicrophone } from "./affekt/microphone.js";
import { at, charts, csv, save } from "./charts.js";
import { takeRecordings } from "./recordings.js";

const SHOWN = 120; // seconds of the chart
const model = await (await fetch("model")).json();
const shown = charts(model.labels);
const { show, showText, draw } = shown;
let session = null; // of the microphone: { microphone, socket, error, saving }
let segments = []; // predictions of all sessions, one after the other
let offset = 0; // seconds of the sessions before this one
let profile = null; // bytes, of the session that ended last

function drawAll() {
  const until = segments.at(-1)?.end ?? 0;
  const from = Math.max(0, until - SHOWN);
  draw(at("chart"), segments.filter((segment) => segment.end > from), from, Math.max(until, from + SHOWN));
}

function setStatus(text, fault = false) {
  at("status").textContent = text;
  at("status").classList.toggle("fault", fault);
}

// ---------------------------------------------------------- speaker profile

function adaptQuery() {
  return model.knows_speakers ? { adapt: at("adapt").checked ? 1 : 0 } : {};
}

/** The profile file that was chosen, in base64; null if there is none. */
async function chosenProfile() {
  const [file] = at("profile").files;
  if (!file) return null;
  const bytes = new Uint8Array(await file.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function receiveProfile(from, bytes) {
  profile = bytes;
  if (from.saving) saveProfile();
  from.saving = false;
  if (session === from) return;
  at("save-profile").disabled = false;
  from.socket.close();
}

function saveProfile() {
  save("voice.profile", profile);
}

// --------------------------------------------------------------- microphone

async function start() {
  const started = (session = {}); // set before the first await, so that a second click stops it
  try {
    const onEnd = () => session === started && stop("The microphone was disconnected.", true);
    started.microphone = await startMicrophone((samples) => send(started, samples), { onEnd });
    const initial = await chosenProfile();
    if (session === started) connect(started, initial);
    else close(started);
  } catch (error) {
    close(started);
    if (session === started) end(`The microphone cannot be used: ${error.message}.`, true);
  }
}

function connect(started, initial) {
  const query = new URLSearchParams({ rate: started.microphone.sampleRate, ...adaptQuery() });
  const address = new URL(`stream?${query}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = Object.assign(new WebSocket(address), { binaryType: "arraybuffer" });
  started.socket = socket;
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") receiveProfile(started, data);
    else if (session === started) receive(JSON.parse(data));
    else if (JSON.parse(data).error) socket.close(); // there is no profile yet
  };
  socket.onclose = () => {
    close(started);
    if (session === started) end(started.error ?? "The connection to the service was lost.", true);
  };
  socket.onopen = () => {
    if (initial) socket.send(initial);
    started.ready = true;
    at("microphone").textContent = "Stop microphone";
    at("save-profile").disabled = !model.knows_speakers;
    showText("listening");
    setStatus(`The microphone is on. There is a prediction every ${model.hop_seconds.toFixed(1)} s.`);
  };
}

function send(from, samples) {
  if (session !== from || !from.ready) return;
  showLevel(samples);
  if (isOpen(from.socket)) from.socket.send(samples);
}

function receive(message) {
  if (message.error) {
    session.error = message.error; // the reason, if the socket closes now
    session.saving = false;
    return setStatus(message.error, true);
  }
  session.error = null;
  const segment = { ...message, start: message.start + offset, end: message.end + offset };
  segments.push(segment);
  show(segment);
  drawAll();
  at("save").disabled = at("clear").disabled = false;
}

/** Stop recording; the socket stays open until it has returned the profile. */
function stop(text = "The microphone is off.", fault = false) {
  const stopped = session;
  end(text, fault);
  if (!model.knows_speakers || !isOpen(stopped.socket)) return close(stopped);
  stopped.microphone?.stop();
  stopped.socket.send("profile");
}

function close(ended) {
  ended.microphone?.stop();
  ended.socket?.close();
}

function isOpen(socket) {
  return socket?.readyState === WebSocket.OPEN;
}

function end(text, fault = false) {
  session = null;
  offset = segments.at(-1)?.end ?? 0;
  at("microphone").textContent = "Start microphone";
  at("save-profile").disabled = !profile;
  at("level").value = -60;
  at("label").textContent = "microphone off";
  at("label").style.borderColor = "";
  setStatus(text, fault);
}

function showLevel(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  at("level").value = 10 * Math.log10(power + 1e-9);
}

// ---------------------------------------------------------------- recording

async function predict(file) {
  const chosen = await chosenProfile();
  const headers = chosen === null ? {} : { Profile: chosen };
  const query = new URLSearchParams(adaptQuery());
  const response = await fetch(`predict?${query}`, { method: "POST", body: file, headers }).catch((error) => {
    throw new Error(`The service cannot be reached: ${error.message}.`);
  });
  const answer = await response.json();
  if (answer.error) throw new Error(answer.error);
  return answer;
}

// ------------------------------------------------------------------- start

setStatus(`Audio is sent to the service at ${location.host} only, and is not stored.`);
showText("microphone off");
at("model").textContent = `Model ${model.name}, licence ${model.licence}`;
at("speaker").hidden = !model.knows_speakers;
at("tabs").hidden = !model.has_journal;
at("journal").href = "journal";
at("microphone").onclick = () => (session ? stop() : start());
at("save-profile").onclick = () => {
  if (!isOpen(session?.socket)) return saveProfile();
  session.saving = true; // once it arrives
  session.socket.send("profile");
};
at("save").onclick = () => save("predictions.csv", csv(model.labels, segments));
at("clear").onclick = () => {
  [segments, offset] = [[], 0];
  at("save").disabled = at("clear").disabled = true;
  showText(session ? "listening" : "microphone off");
  drawAll();
};
takeRecordings(model.labels, shown, predict);
window.addEventListener("resize", drawAll);
drawAll();
