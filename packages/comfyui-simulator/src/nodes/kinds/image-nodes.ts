import { type BlendMode, type Picture } from "../../drawing/picture.ts";
import { allocationFailed } from "../allocation.ts";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { pythonTypeName } from "../../python/python-values.ts";
import { imageInput, numberInput, plainInput, textInput } from "../read-input.ts";

/** Nodes that make images or change them; each adds a step to the recipe of every picture of the batch. */
export const imageNodes: Readonly<Record<string, NodeImplementation>> = {
  EmptyImage: (run) => {
    const [width, height] = [numberInput(run, "width", 512), numberInput(run, "height", 512)];
    const count = numberInput(run, "batch_size", 1);
    allocationFailed(count * width * height * 4);
    const flat = { op: "flat", width, height, color: numberInput(run, "color") } as const;
    return { outputs: [{ kind: "image", pictures: Array.from({ length: count }, () => flat) }] };
  },
  ImageScale: (run) => {
    assertWholeSizes(run, "height", "width");
    const [width, height] = [numberInput(run, "width"), numberInput(run, "height")];
    if (width === 0 && height === 0) return { outputs: [imageInput(run, "image")] };
    const method = textInput(run, "upscale_method");
    const crop = textInput(run, "crop") === "center";
    return eachPicture(run, "image", (picture) => {
      const wide = width === 0 ? Math.max(1, Math.round((picture.width * height) / picture.height)) : width;
      const tall = height === 0 ? Math.max(1, Math.round((picture.height * width) / picture.width)) : height;
      return scalePicture(picture, wide, tall, method, crop);
    });
  },
  ImageScaleBy: (run) => {
    const factor = numberInput(run, "scale_by", 1);
    const method = textInput(run, "upscale_method");
    return eachPicture(run, "image", (picture) => scaledBy(picture, factor, method));
  },
  ImageScaleToTotalPixels: (run) => {
    const pixels = numberInput(run, "megapixels", 1) * 1024 * 1024;
    const method = textInput(run, "upscale_method");
    const steps = Math.max(1, numberInput(run, "resolution_steps", 1));
    return eachPicture(run, "image", (picture) => {
      const factor = Math.sqrt(pixels / (picture.width * picture.height));
      if (steps === 1) return scaledBy(picture, factor, method);
      const stepped = (size: number): number => Math.max(1, Math.round((size * factor) / steps) * steps);
      return scalePicture(picture, stepped(picture.width), stepped(picture.height), method, false);
    });
  },
  ImageUpscaleWithModel: async (run) => {
    await run.wait(run.timing.stepMs * 4);
    const name = run.inputs.get("upscale_model");
    const factor = Number(/x?([248])x?/.exec(name?.kind === "opaque" ? name.text : "")?.[1] ?? 4);
    return eachPicture(run, "image", (picture) => scaledBy(picture, factor, "lanczos"));
  },
  ImageCrop: (run) =>
    eachPicture(run, "image", (source) => {
      const left = Math.min(numberInput(run, "x"), source.width - 1);
      const top = Math.min(numberInput(run, "y"), source.height - 1);
      const width = Math.min(numberInput(run, "width", 512), source.width - left);
      const height = Math.min(numberInput(run, "height", 512), source.height - top);
      return { op: "crop", width, height, source, left, top };
    }),
  ImageInvert: (run) => eachPicture(run, "image", inverted),
  ImageBlur: (run) => {
    const [radius, sigma] = [numberInput(run, "blur_radius", 1), numberInput(run, "sigma", 1)];
    if (radius === 0) return { outputs: [imageInput(run, "image")] };
    return eachPicture(run, "image", (source) =>
      source.op === "flat"
        ? source
        : { op: "blur", width: source.width, height: source.height, source, sigma: Math.min(sigma, radius) },
    );
  },
  ImageBlend: (run) => {
    const above = imageInput(run, "image2").pictures;
    const factor = numberInput(run, "blend_factor", 0.5);
    const mode = blendModeOf(textInput(run, "blend_mode", "normal"));
    const { pictures } = imageInput(run, "image1");
    return {
      outputs: [
        {
          kind: "image",
          pictures: pictures.map((below, index) => {
            const over = above[index % above.length] ?? below;
            return {
              op: "blend",
              width: below.width,
              height: below.height,
              below,
              above: over,
              factor,
              mode,
            };
          }),
        },
      ],
    };
  },
  ImageBatch: (run) => {
    const [first, second] = [imageInput(run, "image1").pictures, imageInput(run, "image2").pictures];
    return { outputs: [{ kind: "image", pictures: sameSize([...first, ...second]) }] };
  },
  ImageFromBatch: (run) => {
    const { pictures } = imageInput(run, "image");
    const start = Math.min(numberInput(run, "batch_index"), pictures.length - 1);
    return {
      outputs: [{ kind: "image", pictures: pictures.slice(start, start + numberInput(run, "length", 1)) }],
    };
  },
  RepeatImageBatch: (run) => {
    const { pictures } = imageInput(run, "image");
    const repeated = Array.from({ length: numberInput(run, "amount", 1) }, () => pictures).flat();
    return { outputs: [{ kind: "image", pictures: repeated }] };
  },
};

/** A link from a union or a wildcard can bring text; torch then raises this message. */
function assertWholeSizes(run: NodeRun, ...names: string[]): void {
  const types = names.map((name) => pythonTypeName(plainInput(run, name) ?? null));
  if (types.every((type) => type === "int" || type === "NoneType")) return;
  const wanted = "int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int]";
  const found = types.map((type) => `<class '${type}'>`).join(", ");
  throw new NodeException(
    "TypeError",
    `expected size to be one of ${wanted}, but got size with types [${found}]`,
  );
}

/** A picture in another size; a flat one stays flat. */
export function scalePicture(
  source: Picture,
  width: number,
  height: number,
  method: string,
  crop: boolean,
): Picture {
  if (source.width === width && source.height === height) return source;
  if (source.op === "flat") return { ...source, width, height };
  return { op: "scale", width, height, source, method, crop };
}

/** Brings every picture of a batch to the size of the first. */
export function sameSize(pictures: readonly Picture[]): Picture[] {
  const [first] = pictures;
  if (!first) return [];
  return pictures.map((picture) => scalePicture(picture, first.width, first.height, "bilinear", true));
}

function scaledBy(picture: Picture, factor: number, method: string): Picture {
  const [width, height] = [Math.round(picture.width * factor), Math.round(picture.height * factor)];
  return scalePicture(picture, Math.max(1, width), Math.max(1, height), method, false);
}

function inverted(source: Picture): Picture {
  if (source.op === "flat") return { ...source, color: 0xffffff - source.color };
  return { op: "invert", width: source.width, height: source.height, source };
}

function eachPicture(run: NodeRun, input: string, change: (picture: Picture) => Picture): NodeResult {
  return { outputs: [{ kind: "image", pictures: imageInput(run, input).pictures.map(change) }] };
}

function blendModeOf(name: string): BlendMode {
  switch (name) {
    case "normal":
    case "multiply":
    case "screen":
    case "overlay":
    case "soft_light":
    case "difference":
      return name;
    default:
      throw new NodeException("ValueError", `Unsupported blend mode: ${name}`);
  }
}
