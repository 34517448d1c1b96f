import { type Picture } from "../drawing/picture.ts";
import { type DrawingThread } from "../drawing/drawing-thread.ts";
import { stringifyPythonJson, type PythonJson } from "../python/python-json.ts";
import { PythonFloat, pythonText } from "../python/python-values.ts";
import { type NodeValue } from "./node-values.ts";

/** How the server shows a node's input in `execution_error`: simple values as they are, the rest as Python prints it. */
export async function describeValue(value: NodeValue, drawing: DrawingThread): Promise<PythonJson> {
  switch (value.kind) {
    case "plain": {
      const plain = value.value;
      const isSimple = plain === null || typeof plain !== "object" || plain instanceof PythonFloat;
      return isSimple ? plain : pythonText(plain);
    }
    case "image":
      return imageTensorText(value.pictures, drawing);
    case "model":
      return "<comfy.model_patcher.ModelPatcher object at 0x7f1ae4811c10>";
    case "clip":
      return "<comfy.sd.CLIP object at 0x7f1ae4811d50>";
    case "vae":
      return "<comfy.sd.VAE object at 0x7f1ae4811f90>";
    case "conditioning":
      return "[[tensor([[[-0.3711, -1.4497, -0.3401]]]), {'pooled_output': None}]]";
    case "latent":
      return `{'samples': tensor(of size [${value.count}, 4, ${value.height / 8}, ${value.width / 8}])}`;
    case "video":
      return "<comfy_api.latest._input_impl.video_types.VideoFromComponents object at 0x7f1ae4828e90>";
    case "audio":
      return `{'waveform': tensor(of size [1, ${value.channels}, ${value.samples}]), 'sample_rate': ${value.sampleRate}}`;
    case "mask":
      return `tensor(of size [${value.count}, ${value.height}, ${value.width}])`;
    case "list": {
      const items: string[] = [];
      for (const item of value.items) items.push(stringifyPythonJson(await describeValue(item, drawing)));
      return `[${items.join(", ")}]`;
    }
    case "blocked":
      return "<comfy_execution.graph_utils.ExecutionBlocker object at 0x7f1ae4828e90>";
    case "opaque":
      return value.text;
  }
}

/** A batch of images the way torch prints a large tensor: the outer three rows and columns, `...` between. */
async function imageTensorText(pictures: readonly Picture[], drawing: DrawingThread): Promise<string> {
  const shown = edge(pictures);
  const batches: string[] = [];
  for (const picture of shown) batches.push(await pictureText(picture, drawing));
  if (pictures.length > 6) batches.splice(3, 0, "...");
  return `tensor([${batches.join(",\n\n\n        ")}])`;
}

async function pictureText(picture: Picture, drawing: DrawingThread): Promise<string> {
  const values = await drawing.draw({ kind: "corners", picture });
  // torch drops the decimals when every number it prints is whole.
  const isWhole = values.every((value) => value === 0 || value === 255);
  const number = (value: number): string => (isWhole ? `${value / 255}.` : (value / 255).toFixed(4));
  const columns = Math.min(6, picture.width);
  const rows: string[] = [];
  for (let row = 0; row < Math.min(6, picture.height); row += 1) {
    const pixels: string[] = [];
    for (let column = 0; column < columns; column += 1) {
      const at = (row * columns + column) * 3;
      const channels = [...values.subarray(at, at + 3)].map(number);
      pixels.push(`[${channels.join(", ")}]`);
    }
    if (picture.width > 6) pixels.splice(3, 0, "...");
    rows.push(`[${pixels.join(",\n          ")}]`);
  }
  if (picture.height > 6) rows.splice(3, 0, "...");
  return `[${rows.join(",\n\n         ")}]`;
}

function edge<T>(items: readonly T[]): readonly T[] {
  return items.length > 6 ? [...items.slice(0, 3), ...items.slice(-3)] : items;
}
