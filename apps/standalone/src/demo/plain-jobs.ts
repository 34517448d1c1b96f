import { type DemoJob } from "./demo-job.ts";

/** Colours of the plain pictures, as ComfyUI's EmptyImage takes them: 0xRRGGBB. */
const colours = [0x1d3557, 0x457b9d, 0xa8dadc, 0xf1faee, 0xe63946, 0xf4a261, 0x2a9d8f, 0x264653];

/**
 * A job of the demonstration for servers without its models: a picture of one colour, or two seconds of two colours,
 * made by nodes of ComfyUI's own that need no model.
 */
export function plainJob(kind: "image" | "video", index: number): DemoJob {
  return { type: "workflow", workflow: kind === "image" ? plainImage(index) : plainVideo() };
}

function colourOf(index: number): number {
  return colours[index % colours.length] ?? 0;
}

function plainImage(index: number): Record<string, object> {
  return {
    "1": node("EmptyImage", { width: 96, height: 64, batch_size: 1, color: colourOf(index) }),
    "2": node("ImageScale", {
      image: ["1", 0],
      upscale_method: "nearest-exact",
      width: 768,
      height: 512,
      crop: "disabled",
    }),
    "3": node("SaveImage", { images: ["2", 0], filename_prefix: "demo" }),
  };
}

function plainVideo(): Record<string, object> {
  const still = { width: 384, height: 256, batch_size: 8 };
  return {
    "1": node("EmptyImage", { ...still, color: colourOf(0) }),
    "2": node("EmptyImage", { ...still, color: colourOf(4) }),
    "3": node("ImageBatch", { image1: ["1", 0], image2: ["2", 0] }),
    "4": node("CreateVideo", { images: ["3", 0], fps: 8 }),
    "5": node("SaveVideo", { video: ["4", 0], filename_prefix: "demo", format: "mp4", codec: "h264" }),
  };
}

function node(classType: string, inputs: object): object {
  return { class_type: classType, inputs };
}
