import { type Picture } from "../../drawing/picture.ts";
import { sameSize, scalePicture } from "./image-nodes.ts";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { plain, type NodeValue } from "../node-values.ts";
import { groupMembers, imageInput, imageOf, latentOf, numberInput, textInput } from "../read-input.ts";
import { pythonTypeName } from "../../python/python-values.ts";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Nodes of 0.28 that bring images, masks and latents to a size, or together. */
export const resizeNodes: Readonly<Record<string, NodeImplementation>> = {
  ResizeImageMaskNode: resize,
  ImageScaleToMaxDimension: (run) => {
    const longest = numberInput(run, "largest_size", 512);
    const method = textInput(run, "upscale_method");
    const pictures = imageInput(run, "image").pictures.map((picture) => {
      const { width, height } = longerSide(picture, longest);
      return scalePicture(picture, Math.max(1, width), Math.max(1, height), method, false);
    });
    return { outputs: [{ kind: "image", pictures }] };
  },
  BatchImagesNode: (run) => {
    const batches = groupMembers(run, "images").map(([name, value]) => imageOf(value, name).pictures);
    return { outputs: [{ kind: "image", pictures: sameSize(batches.flat()) }] };
  },
  BatchMasksNode: (run) => {
    const masks = groupMembers(run, "masks").map(([, value]) => sizeOf(value));
    const count = masks.reduce((total, mask) => total + mask.count, 0);
    const [first] = masks;
    if (first === undefined) return { outputs: [plain(null)] };
    return { outputs: [{ kind: "mask", width: first.width, height: first.height, count }] };
  },
  BatchLatentsNode: (run) => {
    const latents = groupMembers(run, "latents").map(([name, value]) => latentOf(value, name));
    const [first] = latents;
    if (first === undefined) return { outputs: [plain(null)] };
    const { width, height } = first;
    const isEmpty = latents.every(({ pictures }) => pictures === undefined);
    const grey = { op: "flat", width, height, color: 0x7f7a80 } as const;
    const pictures = latents.flatMap(
      (latent) => latent.pictures ?? Array.from({ length: latent.count }, () => grey),
    );
    const count = latents.reduce((total, latent) => total + latent.count, 0);
    const kept = isEmpty ? undefined : sameSize(pictures);
    return { outputs: [{ kind: "latent", width, height, count, pictures: kept }] };
  },
  RebatchImages: (run) => {
    const size = firstNumber(run.inputs.get("batch_size"), 1);
    const given = run.inputs.get("images");
    const all = (given?.kind === "list" ? given.items : []).flatMap(
      (value) => imageOf(value, "images").pictures,
    );
    const items: NodeValue[] = [];
    for (let at = 0; at < all.length; at += size) {
      items.push({ kind: "image", pictures: sameSize(all.slice(at, at + size)) });
    }
    return { outputs: [{ kind: "list", items }] };
  },
  SolidMask: (run) => ({
    outputs: [
      {
        kind: "mask",
        width: numberInput(run, "width", 512),
        height: numberInput(run, "height", 512),
        count: 1,
      },
    ],
  }),
};

function firstNumber(value: NodeValue | undefined, fallback: number): number {
  const item = value?.kind === "list" ? value.items[0] : value;
  return item?.kind === "plain" ? Number(item.value) : fallback;
}

function resize(run: NodeRun): NodeResult {
  const choice = run.members.get("resize_type.resize_type") ?? plain(null);
  const linked = run.inputs.get("resize_type");
  const kind = choice.kind === "plain" && typeof choice.value === "string" ? choice.value : undefined;
  if (kind === undefined) {
    // A choice cannot come over a link: the node receives the bare value instead of its members.
    const type = linked?.kind === "plain" ? pythonTypeName(linked.value) : "str";
    throw new NodeException(
      "TypeError",
      type === "str" ? "string indices must be integers, not 'str'" : `'${type}' object is not subscriptable`,
    );
  }
  const given = run.inputs.get("input") ?? plain(null);
  const method = textInput(run, "scale_method", "area");
  if (!["nearest-exact", "bilinear", "area", "bicubic", "lanczos"].includes(method)) {
    const modes = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact";
    throw new NodeException(
      "NotImplementedError",
      `Input Error: Only 3D, 4D and 5D input Tensors supported (got 4D) for the modes: ${modes} (got ${method})`,
    );
  }
  const crop = textInput(run, "resize_type.crop", "disabled") === "center";
  const change = (source: Size): Size => {
    const { width, height } = targetSize(run, kind, source);
    return { width: Math.max(1, Math.round(width)), height: Math.max(1, Math.round(height)) };
  };
  if (given.kind === "mask") return { outputs: [{ ...given, ...change(given) }] };
  const pictures = imageOf(given, "input").pictures.map((picture): Picture => {
    const { width, height } = change(picture);
    return scalePicture(picture, width, height, method, crop);
  });
  return { outputs: [{ kind: "image", pictures }] };
}

function targetSize(run: NodeRun, kind: string, source: Size): Size {
  const { width, height } = source;
  const member = (name: string): number => numberInput(run, `resize_type.${name}`);
  const scaled = (factor: number): Size => ({ width: width * factor, height: height * factor });
  switch (kind) {
    case "scale by multiplier":
      return scaled(member("multiplier"));
    case "scale dimensions":
      return filledIn(source, member("width"), member("height"));
    case "scale longer dimension":
      return longerSide(source, member("longer_size"));
    case "scale shorter dimension":
      return scaled(member("shorter_size") / Math.min(width, height));
    case "scale width":
      return filledIn(source, member("width"), 0);
    case "scale height":
      return filledIn(source, 0, member("height"));
    case "scale total pixels":
      return scaled(Math.sqrt(Math.trunc(member("megapixels") * 1024 * 1024) / (width * height)));
    case "match size":
      return sizeOf(run.inputs.get("resize_type.match") ?? plain(null));
    case "scale to multiple": {
      const multiple = Math.max(1, member("multiple"));
      const down = (size: number): number => Math.floor(size / multiple) * multiple || size;
      return { width: down(width), height: down(height) };
    }
    default:
      throw new NodeException("ValueError", `Unsupported resize type: ${kind}`);
  }
}

function filledIn(source: Size, width: number, height: number): Size {
  if (width === 0 && height === 0) return source;
  if (width === 0) return { width: (source.width * height) / source.height, height };
  return height === 0 ? { width, height: (source.height * width) / source.width } : { width, height };
}

function longerSide({ width, height }: Size, longest: number): Size {
  const factor = longest / Math.max(width, height);
  return { width: Math.round(width * factor), height: Math.round(height * factor) };
}

function sizeOf(value: NodeValue): Size & { readonly count: number } {
  if (value.kind === "mask") return value;
  const { pictures } = imageOf(value, "match");
  return { width: pictures[0]?.width ?? 1, height: pictures[0]?.height ?? 1, count: pictures.length };
}
