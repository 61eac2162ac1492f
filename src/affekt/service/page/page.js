// Predict the microphone's audio and recordings, in the browser or by the service, and show the predictions.

import { startMicrophone } from "./affekt/microphone.js";
import { at, charts, csv, of, save } from "./charts.js";
import { onServer } from "./on-server.js";
import { takeRecordings } from "./recordings.js";

const SHOWN = 120; // seconds of the chart
const MAX_WAITING = 15; // seconds of audio that are not sent or predicted yet
const MAX_PROFILE = 2_000; // ms to wait for the profile of the session before
const REMEDIES = {
  NotAllowedError: "Allow it in the settings of the browser and of the system, and start it again.",
  NotFoundError: "Connect one, and start it again.",
  NotReadableError: "Close other programs that use it, and start it again.",
};
let browser; // promise of the model in the browser, once it was asked for
let engine; // that is used: `server`, or what `browser` gives
let session = null; // of the microphone: { microphone, live, channels, offset }
let segments = []; // predictions of all sessions, one after the other
let profile; // bytes, of the microphone's speaker, until the page is closed
let leaving; // the session that stopped last: its profile may be on its way
const about = await description();
const shown = charts(about.labels, about.min_confidence);
const { show, showText, draw } = shown;
const server = about.has_service ? onServer() : undefined;

/** Read the answer of the service, or the file beside the page, about the model. */
async function description() {
  try {
    const found = await fetch("model");
    if (!found.ok) throw new Error(`model cannot be fetched: ${found.status} ${found.statusText}.`);
    return await found.json();
  } catch (error) {
    fail(error.message);
    throw error;
  }
}

function drawAll() {
  const until = segments.at(-1)?.end ?? 0;
  const from = Math.max(0, until - SHOWN);
  for (const speaker of [0, 1]) {
    const own = segments.filter(({ end, channel = 0 }) => end > from && channel === speaker);
    draw(of("chart", speaker), own, from, Math.max(until, from + SHOWN));
  }
}

function setStatus(text, fault = false) {
  at("status").textContent = text;
  at("status").classList.toggle("fault", fault);
}

// -------------------------------------------------------- where the model is

/** Use the model in the browser, or the service's; the service's too where the browser fails. */
async function choose(inBrowser) {
  if (session) stop();
  engine = undefined;
  setReady("Loading the model …");
  let [found, fault] = [server, ""];
  if (inBrowser) {
    const wanted = (browser ??= import("./in-browser.js").then((module) => module.inBrowser(about.browser_model)));
    [found, fault] = await wanted.then((it) => [it, ""], (error) => [server, error.message]);
    if (fault && browser === wanted) browser = undefined; // the next choice tries again
    if (at("in-browser").checked !== inBrowser) return; // chosen anew meanwhile
  }
  engine = found;
  if (!engine) return fail(fault);
  at(engine === server ? "on-server" : "in-browser").checked = true;
  setReady(`Model ${about.name}, licence ${about.licence}`);
  setStatus(fault ? `The model cannot run in this browser: ${fault} ${engine.note}` : engine.note, Boolean(fault));
}

function fail(fault) {
  setReady("No model");
  console.error(fault);
  setStatus(`The page is incomplete. Reload it. The cause: ${fault}`, true);
}

function setReady(text) {
  at("model").textContent = text;
  at("microphone").disabled = at("file").disabled = !engine;
}

// ---------------------------------------------------------- speaker profile

/** The options of a session or recording; a profile is that of the file if none is given. */
async function options(known) {
  if (!about.knows_speakers) return {};
  const [file] = at("profile").files;
  return { adapt: at("adapt").checked, profile: known ?? (file && new Uint8Array(await file.arrayBuffer())) };
}

function setProfile(bytes) {
  profile = bytes;
  at("save-profile").disabled = !profile && !isAdapting();
  at("reset").disabled = !profile && !isAdapting() && !at("profile").files.length;
}

/** Whether a session has the profile; one of two speakers has none. */
function isAdapting() {
  return session?.live && session.channels === 1;
}

async function saveProfile() {
  try {
    if (isAdapting()) setProfile(await session.live.profile());
    save("voice.profile", profile);
  } catch (error) {
    setStatus(error.message, true); // there is no profile yet
  }
}

/** Forget the profile of the microphone's speaker, because another one was chosen or none. */
function forget() {
  if (session?.channels === 1) abort("The microphone is off."); // its stream holds the profile too
  leaving = undefined;
  setProfile(undefined);
}

function deleteProfile() {
  at("profile").value = "";
  forget();
}

// --------------------------------------------------------------- microphone

async function start() {
  const channels = at("pair").checked ? 2 : 1;
  const started = (session = { channels, offset: segments.at(-1)?.end ?? 0 }); // before the first await: a second click stops it
  const isCurrent = () => session === started;
  at("microphone").textContent = "Stop microphone";
  setStatus("Starting the microphone …");
  const onEnd = (text) => isCurrent() && abort(text, true);
  try {
    const onUnplug = () => isCurrent() && stop("The microphone was disconnected. Connect it and start again.", true);
    const given = { sampleRate: engine.sampleRate, channels, onEnd: onUnplug };
    started.microphone = await startMicrophone((...blocks) => send(started, blocks), given);
    const onSegment = (segment) => isCurrent() && receive(segment);
    const onFault = (text) => isCurrent() && setStatus(text, true);
    const handlers = { onSegment, onFault, onEnd };
    await Promise.race([leaving?.kept, new Promise((go) => setTimeout(go, MAX_PROFILE))]);
    const wanted = { ...(await options(profile)), channels, ...(channels > 1 && { profile: undefined }) };
    if (isCurrent()) started.live = await engine.live(started.microphone.sampleRate, wanted, handlers);
    if (!isCurrent()) return close(started);
    setProfile(profile);
    showText("listening");
    setStatus(`The microphone is on. ${engine.note}`);
  } catch (error) {
    const reason = REMEDIES[error.name] ?? (error.message || error.name);
    if (isCurrent()) abort(`The microphone cannot be used. ${reason}`, true);
    else close(started);
  }
}

function send(from, blocks) {
  if (session !== from || !from.live) return;
  blocks.forEach((samples, channel) => {
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    of("level", channel).value = 10 * Math.log10(power + 1e-9);
  });
  from.live.push(...blocks);
  if (from.live.waiting() > MAX_WAITING) stop(engine.slow, true);
}

function receive(segment) {
  const { offset } = session;
  segments.push({ ...segment, start: segment.start + offset, end: segment.end + offset });
  show(segment);
  drawAll();
  at("save").disabled = at("clear").disabled = false;
}

/** Stop recording, and keep the profile of the speaker. */
async function stop(text = "The microphone is off.", fault = false) {
  const stopped = (leaving = session);
  const adapted = isAdapting();
  end(text, fault);
  stopped.microphone?.stop();
  const take = (bytes) => leaving === stopped && setProfile(bytes);
  if (adapted && about.knows_speakers) await (stopped.kept = stopped.live.profile().then(take, () => {})); // no speech yet
  close(stopped);
}

/** Stop recording at once. */
function abort(text, fault = false) {
  const stopped = session;
  end(text, fault);
  close(stopped);
}

function close(ended) {
  ended.microphone?.stop();
  ended.live?.close();
}

function end(text, fault) {
  session = null;
  setProfile(profile);
  at("microphone").textContent = "Start microphone";
  for (const speaker of [0, 1]) {
    of("level", speaker).value = -60;
    of("label", speaker).textContent = "microphone off";
    of("label", speaker).style.borderColor = "";
  }
  setStatus(text, fault);
}

/** Show one speaker, or two. */
function setSpeakers() {
  if (session) stop();
  for (const part of document.querySelectorAll(".pair")) part.hidden = !at("pair").checked;
  (at("pair").checked ? document.querySelector(".second") : at("lately")).after(at("status"));
  drawAll();
}

// ------------------------------------------------------------------- start

showText("microphone off");
at("speaker").hidden = !about.knows_speakers;
at("tabs").hidden = !about.has_journal;
at("journal").href = "journal";
at("api").hidden = !server;
at("where").hidden = !server || !about.browser_model;
at("in-browser").checked = Boolean(about.browser_model);
for (const name of ["in-browser", "on-server"]) at(name).onchange = () => choose(at("in-browser").checked);
at("microphone").onclick = () => (session ? stop() : start());
at("pair").onchange = setSpeakers;
at("profile").onchange = forget;
at("save-profile").onclick = saveProfile;
at("reset").onclick = deleteProfile;
at("save").onclick = () => save("predictions.csv", csv(about.labels, segments));
at("clear").onclick = () => {
  segments = [];
  if (session) session.offset = 0;
  at("save").disabled = at("clear").disabled = true;
  showText(session ? "listening" : "microphone off");
  drawAll();
};
takeRecordings(about.labels, shown, async (file) => {
  if (!engine) throw new Error("The model is not loaded yet. Choose the file again.");
  return engine.recording(file, await options());
});
window.addEventListener("resize", drawAll);
document.addEventListener("click", ({ target }) => {
  if (target.disabled) target.closest("fieldset, section").querySelector("button:enabled, input").focus(); // else lost
});
setSpeakers();
await choose(at("in-browser").checked);
if (!server) navigator.serviceWorker?.register("service-worker.js").catch((error) => console.warn(error)); // offline use
