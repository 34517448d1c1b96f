import { pythonRepr } from "../../python/python-values.ts";
import { outOfGpuMemory } from "../allocation.ts";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { plain } from "../node-values.ts";
import { flagInput, imageInput, numberInput, textInput } from "../read-input.ts";

const frame = 'custom_nodes/proto_nodes/__init__.py"';

/**
 * The time before the process ends. In the recording, all messages that were sent before its end still reached the
 * client.
 */
const messagesLeaveMs = 100;

/**
 * The nodes made for the recordings. They are slow, ignore interrupts, fail or end the process, as their inputs say.
 */
export const recordingNodes: Readonly<Record<string, NodeImplementation>> = {
  ProtoSleep: async (run) => {
    const image = imageInput(run, "image");
    const steps = numberInput(run, "steps", 5);
    const format = textInput(run, "preview", "none");
    const picture = { op: "flat", width: 64, height: 32, color: 0x4060a0 } as const;
    const seconds = secondsOf(run);
    for (let step = 1; step <= steps; step += 1) {
      await run.wait((seconds * 1_000) / steps);
      const wants = format === "jpeg" || format === "png";
      await run.progress(step, steps, wants ? { picture, format, noise: 0, sizeMax: 512 } : undefined);
    }
    return { outputs: [image] };
  },
  ProtoBlockingSleep: sleep,
  ProtoSleepOut: sleep,
  ProtoFail: (run) => {
    const message = textInput(run, "message", "boom");
    switch (textInput(run, "mode")) {
      case "oom":
        throw new NodeException(outOfGpuMemory().type, message, [`${frame}, line 62, in go`]);
      case "empty":
        throw new NodeException("Exception", "", [`${frame}, line 64, in go`]);
      case "key":
        throw new NodeException("KeyError", pythonRepr(message), [`${frame}, line 66, in go`]);
      default:
        throw new NodeException("ValueError", message, [`${frame}, line 67, in go`]);
    }
  },
  ProtoText: (run) => {
    const text = textInput(run, "text", "hi");
    if (flagInput(run, "progress_text")) run.progressText(text);
    return { outputs: [plain(text)], ui: { text: [text] } };
  },
  ProtoCrash: async (run) => {
    await run.wait(messagesLeaveMs);
    return run.crash();
  },
};

async function sleep(run: NodeRun): Promise<NodeResult> {
  const image = imageInput(run, "image");
  await run.wait(secondsOf(run) * 1_000);
  return { outputs: [image] };
}

/** @throws NodeException for NaN, which no check of an input stops (PROTOCOL-0.28, 1) */
function secondsOf(run: NodeRun): number {
  const seconds = numberInput(run, "seconds", 1);
  if (!Number.isNaN(seconds)) return seconds;
  throw new NodeException("ValueError", "Invalid value NaN (not a number)", [`${frame}, line 25, in go`]);
}
