import { type Workflow } from "@genga/comfyui";

let serial = 0;

/** EmptyImage → sleep → SaveImage. Takes `seconds` on a server with the recordings' nodes, and is never cached. */
export function sleepWorkflow(
  seconds: number,
  options: { steps?: number; fails?: boolean; blocking?: boolean } = {},
): Workflow {
  serial += 1;
  const seed = serial + Math.floor(Math.random() * 1e9) * 1000;
  const image = ["1", 0];
  const work = options.fails
    ? { class_type: "ProtoFail", inputs: { image, mode: "value", message: "boom", seed } }
    : options.blocking
      ? { class_type: "ProtoBlockingSleep", inputs: { image, seconds, seed } }
      : {
          class_type: "ProtoSleep",
          inputs: { image, seconds, steps: options.steps ?? 10, preview: "none", seed },
        };
  return {
    "1": {
      class_type: "EmptyImage",
      inputs: { width: 64, height: 64, batch_size: 1, color: seed % 16_777_216 },
    },
    "2": work,
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "sleep" } },
  };
}
