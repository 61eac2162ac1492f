// Copy the page of the service, the library, a model and ONNX Runtime into one folder, dist/, for any web server.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { readMetadata } from "../../web/model-file.js";

const HERE = new URL("./", import.meta.url);
const ROOT = new URL("../../", HERE);
const LIBRARY = new URL("web/", ROOT);
const PAGE = new URL("src/affekt/service/page/", ROOT);
const MODEL = "affekt.onnx";
const DIST = new URL("dist/", HERE);
const sha256 = (...contents) => contents.reduce((digest, each) => digest.update(each), createHash("sha256")).digest("hex");

rmSync(DIST, { recursive: true, force: true });
for (const folder of ["affekt/", "runtime/"]) mkdirSync(new URL(folder, DIST), { recursive: true });
for (const [folder, names, target] of [
  [HERE, ["service-worker.js"], ""],
  [PAGE, readdirSync(PAGE).filter((name) => !name.startsWith("docs.")), ""],
  [new URL("src/affekt/models/", ROOT), [MODEL], ""],
  [new URL("node_modules/onnxruntime-web/dist/", LIBRARY), ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"], "runtime/"],
]) {
  for (const name of names) cpSync(new URL(name, folder), new URL(target + name, DIST));
}
for (const name of readdirSync(LIBRARY).filter((each) => each.endsWith(".js"))) {
  const code = readFileSync(new URL(name, LIBRARY), "utf8"); // a page without a bundler needs an address
  writeFileSync(new URL(`affekt/${name}`, DIST), code.replace('"onnxruntime-web/wasm"', '"../runtime/ort.wasm.bundle.min.mjs"'));
}

// What the service answers to GET /model.
const content = readFileSync(new URL(MODEL, DIST));
const { name, licence, labels, hop, sample_rate: rate, profile } = readMetadata(content);
const about = { name, licence, labels, hop_seconds: hop / rate, knows_speakers: Boolean(profile), min_confidence: 0, has_journal: false, has_service: false };
writeFileSync(new URL("model", DIST), JSON.stringify({ ...about, browser_model: { address: MODEL, sha256: sha256(content) } }));

const SERVICE_WORKER = new URL("service-worker.js", DIST);
const files = ["", "affekt/", "runtime/"].flatMap((folder) =>
  readdirSync(new URL(`./${folder}`, DIST), { withFileTypes: true })
    .filter((each) => each.isFile() && each.name !== "service-worker.js")
    .map((each) => folder + each.name),
);
const version = sha256(...files.map((each) => readFileSync(new URL(each, DIST)))).slice(0, 16);
const code = readFileSync(SERVICE_WORKER, "utf8").replace("VERSION", version);
writeFileSync(SERVICE_WORKER, code.replace('["FILES"]', JSON.stringify(["./", ...files])));
