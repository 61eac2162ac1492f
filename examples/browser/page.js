// Predict the microphone's audio or a recording inside the page, without a server.

import { Stream, decode, load, startMicrophone } from "./affekt/affekt.js";
import { at, charts, csv, save } from "./charts.js";
import { takeRecordings } from "./recordings.js";

const SHOWN = 120; // seconds of the chart
const BLOCK = 10; // seconds of a recording, between which the microphone has its turn
const model = await load("affekt.onnx", { worker: true }).catch((error) => {
  at("model").textContent = "No model";
  setStatus(`The page is incomplete: ${error.message}`, true);
  throw error;
});
const { labels, sample_rate: sampleRate } = model.metadata;
const shown = charts(labels);
const { show, showText, draw } = shown;
let profile; // of the microphone's speaker, until the page is closed
let session = { segments: [] }; // of the microphone: { segments, live, adapt, stream, microphone }

/** Begin a session, which drops the predictions of the one before. */
function begin() {
  end();
  const adapt = at("adapt").checked;
  session = { segments: [], live: true, adapt, stream: new Stream(model, { adapt, profile }) };
  draw(at("chart"), [], 0, 1);
  at("save").disabled = true;
  return session;
}

/** End the session; its predictions can still be saved. */
function end(text = "The microphone is off.", fault = false) {
  close(session);
  session = { segments: session.segments }; // a new object: predictions still on their way are dropped
  showText("microphone off");
  at("microphone").textContent = "Start microphone";
  setStatus(text, fault);
}

function fail(failed, error) {
  if (failed === session) end(`This audio cannot be processed. ${error.message || error.name}`, true);
}

function close(ended) {
  ended.microphone?.stop();
  ended.microphone = undefined;
}

function receive(from, segments) {
  if (from !== session || !segments.length) return;
  from.segments.push(...segments);
  show(segments.at(-1));
  const until = from.segments.at(-1).end;
  draw(at("chart"), from.segments, Math.max(0, until - SHOWN), Math.max(until, 1));
  at("save").disabled = false;
  if (from.adapt) setProfile(from.stream.profile);
}

function setProfile(value) {
  profile = value;
  at("reset").disabled = !profile;
}

async function start() {
  const started = begin();
  setStatus("Waiting for the microphone …");
  at("microphone").disabled = true;
  try {
    const push = (samples) =>
      started.stream.push(samples).then((segments) => receive(started, segments)).catch((error) => fail(started, error));
    const onEnd = () => started === session && end("The microphone was disconnected.", true);
    started.microphone = await startMicrophone(push, { sampleRate, onEnd });
    if (started !== session) return close(started);
    at("microphone").textContent = "Stop microphone";
    showText("listening");
    setStatus("The microphone is on. No audio leaves this page.");
  } catch (error) {
    fail(started, error);
    close(started);
  } finally {
    at("microphone").disabled = false;
  }
}

async function predict(file) {
  const samples = await decode(file).catch(() => {
    throw new Error("must be audio that this browser decodes. Got another file. Convert it to WAV or MP3.");
  });
  const stream = new Stream(model, { adapt: at("adapt").checked });
  const segments = [];
  for (let from = 0; from < samples.length; from += BLOCK * sampleRate) {
    segments.push(...(await stream.push(samples.subarray(from, from + BLOCK * sampleRate))));
  }
  segments.push(...(await stream.flush()));
  if (!segments.length) throw new Error("must hold samples. Got none. Choose another file.");
  const { label, probabilities } = segments.at(-1);
  return { duration: samples.length / sampleRate, label, probabilities, segments };
}

function deleteProfile() {
  if (session.live) end(); // its stream holds the profile too
  setProfile(undefined);
}

function setStatus(text, fault = false) {
  at("status").textContent = text;
  at("status").classList.toggle("fault", fault);
}

showText("microphone off");
draw(at("chart"), [], 0, 1);
at("model").textContent = `Model ${model.metadata.name}, licence ${model.metadata.licence}`;
at("microphone").onclick = () => (session.live ? end() : start());
takeRecordings(labels, shown, predict);
at("save").onclick = () => save("predictions.csv", csv(labels, session.segments));
at("reset").onclick = deleteProfile;
at("microphone").disabled = at("file").disabled = false;
navigator.serviceWorker?.register("service-worker.js").catch((error) => console.warn(error)); // offline use
