import { statSync } from "node:fs";
import path from "node:path";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { type AudioValue } from "../node-values.ts";
import { applyOutputFaults, fileEntry, numbered, placeFor } from "../output-files.ts";
import { numberInput, textInput } from "../read-input.ts";

/** Audio nodes. Only the length of audio is simulated, and saved files hold silence. */
export const audioNodes: Readonly<Record<string, NodeImplementation>> = {
  EmptyAudio: (run) => {
    const sampleRate = numberInput(run, "sample_rate", 44_100);
    const samples = Math.round(numberInput(run, "duration", 60) * sampleRate);
    return { outputs: [{ kind: "audio", samples, sampleRate, channels: numberInput(run, "channels", 2) }] };
  },
  SaveAudio: (run) => save(run, textInput(run, "filename_prefix", "audio/ComfyUI"), "output", "flac"),
  SaveAudioAdvanced: (run) =>
    save(run, textInput(run, "filename_prefix", "audio/ComfyUI"), "output", textInput(run, "format", "flac")),
  PreviewAudio: (run) => save(run, `ComfyUI_temp_${run.letters()}`, "temp", "flac"),
};

async function save(
  run: NodeRun,
  prefix: string,
  type: "output" | "temp",
  format: string,
): Promise<NodeResult> {
  const audio = audioInput(run);
  const place = placeFor(run, prefix, type);
  const filename = `${place.name}_${numbered(place.counter)}.${format}`;
  const file = path.join(place.folder, filename);
  await run.wait(run.timing.saveMs);
  const { samples, sampleRate, channels } = audio;
  await run.drawing.draw({ kind: "silence", file, samples, sampleRate, channels });
  applyOutputFaults(run, file, statSync(file).size);
  return { outputs: [audio], ui: { audio: [fileEntry(place, filename)] } };
}

function audioInput(run: NodeRun): AudioValue {
  const value = run.inputs.get("audio");
  if (value?.kind === "audio") return value;
  // The length of audio that other nodes only pass on is not known.
  if (value?.kind === "opaque") return { kind: "audio", samples: 44_100, sampleRate: 44_100, channels: 2 };
  throw new NodeException("TypeError", "'NoneType' object is not subscriptable");
}
