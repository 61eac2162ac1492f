// Run a graph with ONNX Runtime Web.

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";

env.wasm.numThreads = 1; // threads need a cross-origin isolated page, and gain little here

/** Create a session: `run` takes an array and a shape for each input, and returns an array for each output. */
export async function createSession(file) {
  const session = await InferenceSession.create(file);
  return {
    async run(inputs) {
      const tensors = Object.entries(inputs).map(([name, [data, shape]]) => [name, new Tensor(data, shape)]);
      const outputs = await session.run(Object.fromEntries(tensors));
      return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data.slice()]));
    },
    close: () => session.release(),
  };
}
