import { statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Picture } from "../../drawing/picture.ts";
import { type PythonJson } from "../../python/python-json.ts";
import { isDict } from "../../python/python-values.ts";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { plain } from "../node-values.ts";
import { applyOutputFaults, fileEntry, graphTexts, numbered, placeFor } from "../output-files.ts";
import { imageInput, plainInput, textInput } from "../read-input.ts";

/** Saving and showing, as the nodes do it that are new in 0.28 (PROTOCOL-0.28, 4). */
export const newerSavingNodes: Readonly<Record<string, NodeImplementation>> = {
  SaveImageAdvanced: saveAdvanced,
  SaveText: (run) => {
    const text = textInput(run, "text");
    const format = textInput(run, "format", "txt");
    const place = placeFor(run, textInput(run, "filename_prefix", "ComfyUI"), "output", {
      width: 1,
      height: 1,
    });
    const filename = `${place.name}_${numbered(place.counter)}.${format}`;
    const file = path.join(place.folder, filename);
    writeFileSync(file, text);
    applyOutputFaults(run, file, statSync(file).size);
    return { outputs: [plain(text)], ui: { text: [text], files: [fileEntry(place, filename)] } };
  },
  ImageCompare: async (run) => {
    const side = async (input: string, mark: string): Promise<PythonJson[]> => {
      const value = run.inputs.get(input);
      if (value?.kind !== "image") return [];
      return savePictures(run, value.pictures, `comfy.compare.${mark}_temp_${run.letters()}`);
    };
    return {
      outputs: [],
      ui: { a_images: await side("image_a", "a"), b_images: await side("image_b", "b") },
    };
  },
  ImageCropV2: async (run) => {
    const region = plainInput(run, "crop_region") ?? null;
    if (!isDict(region)) throw new NodeException("AttributeError", "'str' object has no attribute 'get'");
    const at = (key: string, fallback: number): number => Number(region.get(key) ?? fallback);
    const pictures = imageInput(run, "image").pictures.map((source): Picture => {
      const left = Math.min(at("x", 0), source.width - 1);
      const top = Math.min(at("y", 0), source.height - 1);
      const width = Math.min(at("width", 512), source.width - left);
      const height = Math.min(at("height", 512), source.height - top);
      return { op: "crop", width, height, source, left, top };
    });
    const images = await savePictures(run, pictures, `ComfyUI_temp_${run.letters()}`);
    return { outputs: [{ kind: "image", pictures }], ui: { images, animated: [false] } };
  },
};

async function savePictures(
  run: NodeRun,
  pictures: readonly Picture[],
  prefix: string,
): Promise<PythonJson[]> {
  const place = placeFor(run, prefix, "temp", pictures[0]);
  const entries: PythonJson[] = [];
  for (const [index, picture] of pictures.entries()) {
    const filename = `${place.name}_${numbered(place.counter + index)}_.png`;
    const file = path.join(place.folder, filename);
    await run.drawing.draw({ kind: "png", picture, file, texts: graphTexts(run), level: 1 });
    entries.push(fileEntry(place, filename));
  }
  return entries;
}

async function saveAdvanced(run: NodeRun): Promise<NodeResult> {
  const image = imageInput(run, "images");
  const format = textInput(run, "format", "png");
  const place = placeFor(run, textInput(run, "filename_prefix", "ComfyUI"), "output", image.pictures[0]);
  const images: PythonJson[] = [];
  for (const [index, picture] of image.pictures.entries()) {
    const name = place.name.replaceAll("%batch_num%", String(index));
    const filename = `${name}_${numbered(place.counter + index)}.${format}`;
    const file = path.join(place.folder, filename);
    await run.wait(run.timing.saveMs);
    if (format === "exr") await run.drawing.draw({ kind: "exr", picture, file });
    else await run.drawing.draw({ kind: "png", picture, file, texts: graphTexts(run), level: 4 });
    applyOutputFaults(run, file, statSync(file).size);
    images.push(fileEntry(place, filename));
  }
  return { outputs: [image], ui: { images } };
}
