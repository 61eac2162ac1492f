// Fetch a model file, check its digest, and read its metadata.

const METADATA_FIELD = 14; // of ModelProto in onnx.proto: metadata_props
const EXPECTED = { format: 1, sample_rate: 16_000, window: 15_600 };

/** Fetch a model file, and compare its SHA-256 digest where one is given. */
export async function fetchModelFile(source, sha256) {
  const file = source instanceof Uint8Array ? source : await fetchBytes(source);
  if (sha256 === undefined) return file;
  if (!crypto.subtle) throw new Error(`A page must come from HTTPS or localhost to check sha256. Got ${location.origin}.`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", file));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256.toLowerCase()) {
    throw new Error(`The model's SHA-256 digest must be ${sha256}. Got ${found}. Download the model again.`);
  }
  return file;
}

async function fetchBytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be fetched: ${response.status} ${response.statusText}.`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Read and check the entry `affekt` of a model file's metadata. */
export function readMetadata(file) {
  const text = new TextDecoder();
  for (const [field, content] of fields(file)) {
    if (field !== METADATA_FIELD) continue;
    const entry = Object.fromEntries(fields(content)); // 1: key, 2: value
    if (text.decode(entry[1]) !== "affekt") continue;
    const metadata = JSON.parse(text.decode(entry[2]));
    for (const [key, value] of Object.entries(EXPECTED)) {
      if (metadata[key] !== value) throw new Error(`A model's ${key} must be ${value}. Got ${metadata[key]}. Export it again.`);
    }
    return metadata;
  }
  throw new Error("The model must be a file that affekt export wrote. Got another file.");
}

/** Yield number and bytes of each field with a length in a protocol buffer message. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (!(byte & 128)) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const type = key & 7;
    if (type === 0) varint();
    else if (type === 2) {
      const size = varint();
      yield [key >> 3, bytes.subarray(at, at + size)];
      at += size;
    } else at += type === 1 ? 8 : 4;
  }
}
