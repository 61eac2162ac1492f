// Predict the microphone's audio or a recording inside the page, without a server.

import { Stream, decode, load, startMicrophone } from "./affekt/affekt.js";
import { at, charts, csv, save } from "./charts.js";

const SHOWN = 120; // seconds of the chart
const BLOCK = 10; // seconds of a recording between two updates of the page
const model = await load("affekt.onnx", { worker: true }).catch((error) => {
  at("model").textContent = "No model";
  setStatus(`The page is incomplete: ${error.message}`, true);
  throw error;
});
const { labels, sample_rate: sampleRate } = model.metadata;
const { show, showText, draw } = charts(labels);
let profile; // of the microphone's speaker, until the page is closed
let session = { segments: [] }; // of the microphone or a recording: { segments, live, adapt, stream, microphone }

/** Begin a session, which drops the predictions of the one before. Only the microphone's uses the profile. */
function begin(live) {
  end();
  const adapt = at("adapt").checked;
  session = { segments: [], live, adapt, stream: new Stream(model, { adapt, profile: live ? profile : undefined }) };
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
  if (from.live && from.adapt) setProfile(from.stream.profile);
}

function setProfile(value) {
  profile = value;
  at("reset").disabled = !profile;
}

async function start() {
  const started = begin(true);
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
  const started = begin(false);
  setStatus(`Predicting ${file.name} …`);
  try {
    const mono = await decode(file);
    const begun = performance.now();
    for (let from = 0; from < mono.length && started === session; from += BLOCK * sampleRate) {
      receive(started, await started.stream.push(mono.subarray(from, from + BLOCK * sampleRate)));
      await new Promise((resolve) => setTimeout(resolve)); // lets the browser draw
    }
    receive(started, await started.stream.flush());
    const seconds = (performance.now() - begun) / 1000;
    if (started === session) setStatus(`${file.name}: ${(mono.length / sampleRate).toFixed(1)} s, predicted in ${seconds.toFixed(2)} s.`);
  } catch (error) {
    fail(started, error);
  }
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
at("file").onchange = ({ target }) => target.files[0] && predict(target.files[0]);
at("save").onclick = () => save("predictions.csv", csv(labels, session.segments));
at("reset").onclick = deleteProfile;
at("microphone").disabled = at("file").disabled = false;
