// Run a model in a worker: the first message holds the model file, each later one inputs.

import { createSession } from "./session.js";

let session;

onmessage = async ({ data: { file, inputs } }) => {
  try {
    if (file) session = await createSession(file);
    postMessage({ outputs: inputs && (await session.run(inputs)) });
  } catch (error) {
    postMessage({ error: error.message ?? `ONNX Runtime failed: ${error}.` }); // it throws numbers too
  }
};
