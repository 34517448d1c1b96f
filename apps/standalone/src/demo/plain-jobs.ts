import { type DemoGraph, type DemoJob, type DemoNode, type OutputOfJob } from "./demo-job.ts";

// Jobs of the demonstration for servers without its models, made by nodes of ComfyUI's own that need no model.

/** Colours of the plain pictures, as ComfyUI's EmptyImage takes them: 0xRRGGBB. */
const colours = [0x1d3557, 0x457b9d, 0xa8dadc, 0xf1faee, 0xe63946, 0xf4a261, 0x2a9d8f, 0x264653];

function colourOf(index: number): number {
  return colours[index % colours.length] ?? 0;
}

/** A picture of one colour. */
export function plainImage(index: number): DemoJob {
  return workflow({
    "1": node("EmptyImage", { width: 96, height: 64, batch_size: 1, color: colourOf(index) }),
    "2": node("ImageScale", {
      image: ["1", 0],
      upscale_method: "nearest-exact",
      width: 768,
      height: 512,
      crop: "disabled",
    }),
    "3": node("SaveImage", { images: ["2", 0], filename_prefix: "demo" }),
  });
}

/** Two seconds: the picture, and then a colour. */
export function plainVideo(picture: OutputOfJob): DemoJob {
  const size = { width: 384, height: 256 };
  return workflow({
    "1": node("LoadImage", { image: { $output: picture } }),
    "2": node("ImageScale", { image: ["1", 0], upscale_method: "bilinear", ...size, crop: "disabled" }),
    "3": node("RepeatImageBatch", { image: ["2", 0], amount: 8 }),
    "4": node("EmptyImage", { ...size, batch_size: 8, color: colourOf(4) }),
    "5": node("ImageBatch", { image1: ["3", 0], image2: ["4", 0] }),
    "6": node("CreateVideo", { images: ["5", 0], fps: 8 }),
    "7": node("SaveVideo", { video: ["6", 0], filename_prefix: "demo", format: "mp4", codec: "h264" }),
  });
}

function workflow(graph: DemoGraph): DemoJob {
  return { type: "workflow", workflow: graph };
}

function node(classType: string, inputs: Record<string, unknown>): DemoNode {
  return { class_type: classType, inputs };
}
