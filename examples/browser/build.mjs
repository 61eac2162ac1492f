// Copy the page, the library, the model and ONNX Runtime into one folder, dist/, for any web server.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";

const HERE = new URL("./", import.meta.url);
const ROOT = new URL("../../", HERE);
const LIBRARY = new URL("web/", ROOT);
const PACKAGE = new URL("src/affekt/", ROOT);
const RUNTIME = new URL("node_modules/onnxruntime-web/dist/", LIBRARY);
const DIST = new URL("dist/", HERE);

rmSync(DIST, { recursive: true, force: true });
mkdirSync(new URL("affekt/", DIST), { recursive: true });
for (const [folder, names] of [
  [HERE, ["index.html", "page.js", "service-worker.js"]],
  [new URL("service/page/", PACKAGE), ["page.css", "charts.js", "recordings.js", "icon.svg", "manifest.webmanifest"]],
  [new URL("models/", PACKAGE), ["affekt.onnx"]],
  [RUNTIME, ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"]],
]) {
  for (const name of names) cpSync(new URL(name, folder), new URL(name, DIST));
}
for (const name of readdirSync(LIBRARY).filter((each) => each.endsWith(".js"))) {
  const code = readFileSync(new URL(name, LIBRARY), "utf8"); // a page without a bundler needs an address
  writeFileSync(new URL(`affekt/${name}`, DIST), code.replace('"onnxruntime-web/wasm"', '"../ort.wasm.bundle.min.mjs"'));
}

const SERVICE_WORKER = new URL("service-worker.js", DIST);
const files = ["", "affekt/"].flatMap((folder) =>
  readdirSync(new URL(`./${folder}`, DIST), { withFileTypes: true })
    .filter((each) => each.isFile() && each.name !== "service-worker.js")
    .map((each) => folder + each.name),
);
const digest = createHash("sha256");
for (const name of files) digest.update(readFileSync(new URL(name, DIST)));
const code = readFileSync(SERVICE_WORKER, "utf8").replace("VERSION", digest.digest("hex").slice(0, 16));
writeFileSync(SERVICE_WORKER, code.replace('["FILES"]', JSON.stringify(["./", ...files])));
