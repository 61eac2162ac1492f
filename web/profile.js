// Read and write the file of a speaker profile: safetensors with mean and deviation in float16.

const FORMAT = "1";
const BYTES = 2; // of a float16
const invalid = () => new Error("The file must be a profile that affekt wrote. Got another file. Create the profile again.");

/** Refuse browsers without numbers in float16. */
function requireFloat16() {
  if (DataView.prototype.getFloat16 && DataView.prototype.setFloat16) return;
  throw new Error("A browser must read and write float16 for profiles. Use Chrome 135, Firefox 129, Safari 18.2 or newer.");
}

/** Read a profile file; see affekt.d.ts. */
export function readProfile(model, bytes) {
  requireFloat16();
  let measure, weight, mean, deviation;
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = Number(view.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    const about = JSON.parse(header.__metadata__.affekt);
    const numbers = ({ data_offsets: [from, until] }) =>
      Float64Array.from({ length: (until - from) / BYTES }, (_, each) => view.getFloat16(8 + length + from + each * BYTES, true));
    [measure, weight] = [about.measure, Number(about.weight)];
    [mean, deviation] = [numbers(header.mean), numbers(header.deviation)];
    if (about.format !== FORMAT || !(weight > 0 && weight < 1e12) || mean.length !== deviation.length) throw invalid();
    if (![...mean, ...deviation].every(Number.isFinite)) throw invalid();
  } catch {
    throw invalid();
  }
  const names = model.metadata.profile?.state ?? [];
  const state = [[weight], mean.map((each) => weight * each), mean.map((each, at) => weight * (deviation[at] ** 2 + each ** 2))];
  return { of: measure, state: Object.fromEntries(names.map((name, at) => [name, Float32Array.from(state[at])])) };
}

/** Write a profile file; see affekt.d.ts. */
export function writeProfile(model, profile) {
  requireFloat16();
  const { steps, state } = model.metadata.profile;
  const [[weight], sum, square] = state.map((name) => profile.state[name]);
  const mean = Float64Array.from(sum, (each) => each / weight);
  const deviation = mean.map((each, at) => Math.sqrt(Math.max(square[at] / weight - each ** 2, 0)));
  const { hop, sample_rate: rate } = model.metadata;
  const about = { format: FORMAT, measure: profile.of, weight: String(weight), seconds: String(((weight / steps) * hop) / rate) };
  const size = mean.length * BYTES;
  const tensor = (from) => ({ dtype: "F16", shape: [mean.length], data_offsets: [from, from + size] });
  const header = JSON.stringify({ __metadata__: { affekt: JSON.stringify(about) }, mean: tensor(0), deviation: tensor(size) });
  const text = new TextEncoder().encode(header.padEnd(Math.ceil(header.length / 8) * 8));
  const bytes = new Uint8Array(8 + text.length + 2 * size);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  [...mean, ...deviation].forEach((each, at) => view.setFloat16(8 + text.length + at * BYTES, each, true));
  return bytes;
}
