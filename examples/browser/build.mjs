// Copy the page, the model and ONNX Runtime into one folder, dist/, for any web server.

import { cpSync, mkdirSync, rmSync } from "node:fs";

const HERE = new URL("./", import.meta.url);
const PACKAGE = new URL("../../src/affekt/", HERE);
const RUNTIME = new URL("node_modules/onnxruntime-web/dist/", HERE);
const DIST = new URL("dist/", HERE);

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST);
for (const [folder, names] of [
  [HERE, ["index.html", "page.js", "affekt.js"]],
  [new URL("service/page/", PACKAGE), ["page.css", "charts.js", "tap.js", "icon.svg"]],
  [new URL("models/", PACKAGE), ["affekt.onnx"]],
  [RUNTIME, ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"]],
]) {
  for (const name of names) cpSync(new URL(name, folder), new URL(name, DIST));
}
