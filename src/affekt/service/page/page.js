// One page: a live voice through a socket, a recording through one request, and pictures of both.

const COLOURS = { angry: "#d55e00", happy: "#e69f00", sad: "#0072b2", neutral: "#7f8790" };
const OTHERS = ["#009e73", "#cc79a7", "#56b4e9", "#b3a100"];
const SHOWN = 120; // seconds of the live course
const at = (id) => document.getElementById(id);

const model = await (await fetch("model")).json();
const colours = Object.fromEntries(
  model.labels.map((label, place) => [label, COLOURS[label] ?? OTHERS[place % OTHERS.length]]),
);
let live = null; // what is open while a voice is heard
let segments = []; // answers of the live voice
let gone = 0; // seconds of the sounds before this one
let recorded = [];

// ---------------------------------------------------------------- pictures

const bars = model.labels.map((label) => {
  const bar = document.createElement("div");
  bar.className = "bar";
  for (const part of ["name", "track", "share"]) bar.append(Object.assign(document.createElement("span"), { className: part }));
  const fill = Object.assign(document.createElement("div"), { className: "fill" });
  fill.style.background = colours[label];
  bar.children[0].textContent = label;
  bar.children[1].append(fill);
  at("bars").append(bar);
  return { label, fill, share: bar.children[2] };
});

function show({ label, probabilities }) {
  at("now").textContent = label;
  at("now").style.color = colours[label] ?? "";
  for (const bar of bars) {
    const share = Math.round(100 * probabilities[bar.label]);
    bar.fill.style.width = `${share}%`;
    bar.share.textContent = `${share} %`;
  }
}

function draw(canvas, answers, from, until) {
  const dots = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  Object.assign(canvas, { width: width * dots, height: height * dots });
  const pen = canvas.getContext("2d");
  pen.scale(dots, dots);
  const scale = width / Math.max(until - from, 1);
  for (const { start, end, probabilities } of answers) {
    let top = 0;
    for (const label of model.labels) {
      const share = probabilities[label] * (height - 18);
      pen.fillStyle = colours[label];
      pen.fillRect((start - from) * scale, top, (end - start) * scale + 0.5, share);
      top += share;
    }
  }
  pen.fillStyle = getComputedStyle(document.body).getPropertyValue("--muted");
  pen.font = "12px system-ui";
  pen.fillText(clock(from), 0, height - 4);
  pen.textAlign = "right";
  pen.fillText(clock(until), width, height - 4);
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function drawAll() {
  const until = segments.at(-1)?.end ?? 0;
  const from = Math.max(0, until - SHOWN);
  draw(at("course"), segments.filter((each) => each.end > from), from, Math.max(until, from + SHOWN));
  if (recorded.length) draw(at("recorded"), recorded, 0, recorded.at(-1).end);
}

// ------------------------------------------------------------ a live voice

async function listen() {
  const media = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const sound = new AudioContext();
  await sound.audioWorklet.addModule("tap.js");
  const query = new URLSearchParams({ rate: sound.sampleRate });
  if (model.knows_speakers && at("adapt").checked) query.set("adapt", 1);
  const address = new URL(`stream?${query}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = Object.assign(new WebSocket(address), { binaryType: "arraybuffer" });
  const tap = new AudioWorkletNode(sound, "tap", { numberOfOutputs: 0 });
  const known = at("profile").files[0];
  live = { media, sound, socket };
  socket.onmessage = ({ data }) => (typeof data === "string" ? hear(JSON.parse(data)) : save("voice.profile", data));
  socket.onclose = stop;
  socket.onopen = async () => {
    if (known) socket.send(base64(new Uint8Array(await known.arrayBuffer())));
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
  if (message.error) return tell(message.error, true);
  const segment = { ...message, start: message.start + gone, end: message.end + gone };
  segments.push(segment);
  show(segment);
  drawAll();
  at("keep").disabled = at("forget").disabled = false;
}

function stop() {
  if (!live) return;
  const { media, sound, socket } = live;
  live = null;
  for (const track of media.getTracks()) track.stop();
  sound.close();
  socket.close();
  gone = segments.at(-1)?.end ?? 0;
  at("listen").textContent = "Listen";
  at("learned").disabled = true;
  at("level").value = -60;
  if (!at("about").classList.contains("fault")) tell("Stopped. Nothing is heard.");
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
  at("answer").textContent = `hearing ${file.name} …`;
  at("answer").classList.remove("fault");
  const answer = await (await fetch("predict", { method: "POST", body: file })).json();
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

function save(name, content) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([content])), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

function csv() {
  const rows = segments.map(({ start, end, label, probabilities }) =>
    [start.toFixed(3), end.toFixed(3), label, ...model.labels.map((name) => probabilities[name].toFixed(6))].join(","),
  );
  return [["start", "end", "label", ...model.labels.map((name) => `p_${name}`)].join(","), ...rows, ""].join("\n");
}

at("model").textContent = `model ${model.name}, ${model.licence}`;
at("person").hidden = !model.knows_speakers;
at("listen").onclick = () => (live ? stop() : listen().catch((error) => tell(`The microphone cannot be heard: ${error.message}.`, true)));
at("learned").onclick = () => live?.socket.send("profile");
at("keep").onclick = () => save("answers.csv", csv());
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
