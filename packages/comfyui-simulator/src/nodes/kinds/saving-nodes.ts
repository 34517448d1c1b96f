import { statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { PythonFloat, pythonTypeName } from "../../python/python-values.ts";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { opaque, type LatentValue } from "../node-values.ts";
import { applyOutputFaults, fileEntry, graphTexts, numbered, placeFor } from "../output-files.ts";
import { flagInput, imageInput, latentInput, numberInput, textInput } from "../read-input.ts";

/** Nodes that write files, or send pictures, and list them in their UI output (PROTOCOL 7). */
export const savingNodes: Readonly<Record<string, NodeImplementation>> = {
  SaveImage: (run) => saveImages(run, textInput(run, "filename_prefix", "ComfyUI"), "output", 4),
  PreviewImage: (run) => saveImages(run, `ComfyUI_temp_${run.letters()}`, "temp", 1),
  SaveAnimatedPNG: async (run) => {
    const { pictures } = imageInput(run, "images");
    const [place, filename, file] = animationFile(run, "png");
    await run.wait(run.timing.saveMs);
    await run.drawing.draw({
      kind: "animated-png",
      pictures,
      file,
      framesPerSecond: numberInput(run, "fps", 6),
      texts: graphTexts(run),
      level: numberInput(run, "compress_level", 4),
    });
    return animated(run, file, fileEntry(place, filename));
  },
  SaveAnimatedWEBP: async (run) => {
    const { pictures } = imageInput(run, "images");
    const [place, filename, file] = animationFile(run, "webp");
    await run.wait(run.timing.saveMs);
    await run.drawing.draw({
      kind: "animated-webp",
      pictures,
      file,
      framesPerSecond: numberInput(run, "fps", 6),
      isLossless: flagInput(run, "lossless", true),
      quality: numberInput(run, "quality", 80),
    });
    return animated(run, file, fileEntry(place, filename));
  },
  SaveImageWebsocket: async (run) => {
    const { pictures } = imageInput(run, "images");
    for (const [index, picture] of pictures.entries()) {
      await run.progress(index, pictures.length, { picture, format: "png", noise: 0 });
    }
    return { outputs: [] };
  },
  SaveLatent: (run) => {
    const latent = latentInput(run, "samples");
    const place = placeFor(run, textInput(run, "filename_prefix", "latents/ComfyUI"), "output");
    const filename = `${place.name}_${numbered(place.counter)}_.latent`;
    writeFileSync(path.join(place.folder, filename), emptyTensorFile(latent, graphTexts(run)));
    return { outputs: [latent], ui: { latents: [fileEntry(place, filename)] } };
  },
};

async function saveImages(
  run: NodeRun,
  prefix: string,
  type: "output" | "temp",
  level: number,
): Promise<NodeResult> {
  const given = run.inputs.get("images");
  if (given?.kind === "plain") {
    throw new NodeException("TypeError", `'${pythonTypeName(given.value)}' object is not subscriptable`);
  }
  const { pictures } = imageInput(run, "images");
  const [first] = pictures;
  if (!first) throw new NodeException("IndexError", "index 0 is out of bounds for dimension 0 with size 0");
  const place = placeFor(run, prefix, type, first);
  const texts = graphTexts(run);
  const images = [];
  for (const [index, picture] of pictures.entries()) {
    const name = place.name.replaceAll("%batch_num%", String(index));
    const filename = `${name}_${numbered(place.counter + index)}_.png`;
    const file = path.join(place.folder, filename);
    if (run.timing.saveMs > 0) await run.wait(run.timing.saveMs);
    await run.drawing.draw({ kind: "png", picture, file, texts, level });
    applyOutputFaults(run, file, statSync(file).size);
    images.push(fileEntry(place, filename));
  }
  return { outputs: [imageInput(run, "images")], ui: { images } };
}

function animationFile(run: NodeRun, extension: string): [ReturnType<typeof placeFor>, string, string] {
  const [first] = imageInput(run, "images").pictures;
  const place = placeFor(run, textInput(run, "filename_prefix", "ComfyUI"), "output", first);
  const filename = `${place.name}_${numbered(place.counter)}_.${extension}`;
  return [place, filename, path.join(place.folder, filename)];
}

/** A safetensors file of the right shape; its numbers are all 0, since no real latent exists here. */
function emptyTensorFile(latent: LatentValue, texts: ReadonlyMap<string, string>): Buffer {
  const shape = [latent.count, 4, latent.height / 8, latent.width / 8];
  const bytes = shape.reduce((product, size) => product * size, 4);
  const header = JSON.stringify({
    __metadata__: Object.fromEntries(texts),
    latent_format_version_0: { dtype: "F32", shape: [0], data_offsets: [0, 0] },
    latent_tensor: { dtype: "F32", shape, data_offsets: [0, bytes] },
  });
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(padded)));
  return Buffer.concat([length, Buffer.from(padded), Buffer.alloc(bytes)]);
}

/** The result of every core node that saves an animation or a video. */
export function animated(run: NodeRun, file: string, entry: ReturnType<typeof fileEntry>): NodeResult {
  applyOutputFaults(run, file, statSync(file).size);
  const handedOn = run.inputs.get("images") ?? run.inputs.get("video") ?? opaque("FILE", file);
  return { outputs: [handedOn], ui: { images: [entry], animated: [true] } };
}

/** A rate as the server reports it: always a float. */
export function rate(value: number): PythonFloat {
  return new PythonFloat(value);
}
