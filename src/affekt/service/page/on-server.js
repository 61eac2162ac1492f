// Let the service run the model: recordings by a request, live audio through a WebSocket.

const LOST = "The connection to the service was lost. Start the microphone again.";
const NO_SOCKET = "No connection for live audio can be opened. Start the microphone again, or let the proxy pass on WebSockets.";

/** @returns {object} The functions that in-browser.js makes too. */
export function onServer() {
  return {
    sampleRate: undefined, // that of the microphone: the service resamples
    note: `Audio is sent to the service at ${location.host} only, and is not stored.`,
    slow: "Live audio does not reach the service fast enough. Check the connection, and start the microphone again.",
    live,
    recording,
  };
}

async function recording(file, { adapt, profile }) {
  const headers = profile ? { Profile: base64(profile) } : {};
  const response = await fetch(`predict?${query(adapt)}`, { method: "POST", body: file, headers }).catch((error) => {
    throw new Error(`The service cannot be reached: ${error.message}. Choose the file again.`);
  });
  const other = { error: `The service answered ${response.status}, and no JSON. Ask its operator.` }; // a proxy
  const answer = await response.json().catch(() => other);
  if (answer.error) throw new Error(answer.error);
  return answer;
}

function live(rate, { adapt, profile, channels }, { onSegment, onFault, onEnd }) {
  const address = new URL(`stream?${query(adapt, { rate, channels })}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = Object.assign(new WebSocket(address), { binaryType: "arraybuffer" });
  let [fault, lost] = [null, NO_SOCKET];
  const asked = []; // who waits for the profile
  const isOpen = () => socket.readyState === WebSocket.OPEN;
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") return asked.shift().resolve(new Uint8Array(data));
    const message = JSON.parse(data);
    if (!message.error) return (fault = null), onSegment(message);
    fault = message.error; // the reason, if the socket closes now
    if (asked.length) asked.shift().reject(new Error(fault));
    else onFault(fault);
  };
  const stream = {
    push: (...blocks) => isOpen() && socket.send(interleaved(blocks)),
    profile: () =>
      new Promise((resolve, reject) => {
        if (!isOpen()) return reject(new Error(lost));
        asked.push({ resolve, reject });
        socket.send("profile");
      }),
    waiting: () => socket.bufferedAmount / (Float32Array.BYTES_PER_ELEMENT * channels * rate),
    close: () => socket.close(),
  };
  return new Promise((resolve) => {
    socket.onopen = () => {
      lost = LOST;
      if (profile) socket.send(base64(profile));
      resolve(stream);
    };
    socket.onclose = () => {
      const reason = fault ?? lost;
      for (const { reject } of asked) reject(new Error(reason));
      onEnd(reason);
    };
  });
}

function interleaved(blocks) {
  const samples = new Float32Array(blocks.length * blocks[0].length);
  blocks.forEach((block, channel) => block.forEach((sample, at) => (samples[at * blocks.length + channel] = sample)));
  return samples;
}

function query(adapt, more = {}) {
  return new URLSearchParams({ ...more, ...(adapt === undefined ? {} : { adapt: adapt ? 1 : 0 }) });
}

function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
