import { describe, expect, test } from "@jest/globals";
import { type Workflow } from "@genga/comfyui";
import { InvalidJobError } from "@genga/jobs";
import { parseImageParameters, WorkflowGenerator } from "@genga/workflows";
import { nodesOf } from "./graph-meaning.ts";
import { maskImage, startImage } from "./parameter-space.ts";

const generator = new WorkflowGenerator();

function graphOf(textEncoderType: string | undefined, more: object = {}): Workflow {
  const components = { unet: "x.safetensors", textEncoders: ["y.safetensors"], textEncoderType };
  return generator.createImageWorkflow({ prompt: "a cat", vae: "z.safetensors", components, ...more });
}

/** Each space: how its empty canvas and `LatentUpscale` turn pixels into a latent's size (source), and back. */
const pixelsPerElement = {
  EmptyLatentImage: 8,
  EmptySD3LatentImage: 8,
  EmptyFlux2LatentImage: 16,
  EmptyHunyuanImageLatent: 32,
};

describe("an image with components is drawn on the canvas of its own latent space", () => {
  test.each([
    ["stable_diffusion", "EmptyLatentImage"],
    ["flux", "EmptySD3LatentImage"],
    ["qwen_image", "EmptySD3LatentImage"],
    ["what comes in a year", "EmptySD3LatentImage"],
    ["flux2", "EmptyFlux2LatentImage"],
    ["lens", "EmptyFlux2LatentImage"],
    ["hunyuan_image", "EmptyHunyuanImageLatent"],
  ])("%s: %s", (type, emptyClass) => {
    const [canvas] = nodesOf(graphOf(type, { width: 1024, height: 768 }), emptyClass);
    expect(canvas?.inputs).toEqual({ width: 1024, height: 768, batch_size: 1 });
  });
});

describe("a second pass over the latent gives the size that was asked for", () => {
  test.each(["stable_diffusion", "flux", "qwen_image", "flux2", "ideogram4", "hunyuan_image"])(
    "with %s",
    (type) => {
      const graph = graphOf(type, { width: 1024, height: 768, hiresFix: { scale: 1.5 } });
      const [canvas] = Object.values(graph).filter(({ class_type: name }) => name in pixelsPerElement);
      const factor = pixelsPerElement[canvas!.class_type as keyof typeof pixelsPerElement];
      const { width, height } = nodesOf(graph, "LatentUpscale")[0]!.inputs as {
        width: number;
        height: number;
      };
      const elements = [Math.floor(width / 8), Math.floor(height / 8)];
      expect(elements.map((side) => side * factor)).toEqual([1536, 1152]);
    },
  );

  test.each(["chroma", "lumina2", "pixeldit", "what comes in a year"])(
    "with %s by the scale, since its models differ in what a latent's size means",
    (type) => {
      const graph = graphOf(type, { width: 1024, height: 768, hiresFix: { scale: 1.5, method: "bislerp" } });
      expect(nodesOf(graph, "LatentUpscaleBy")[0]?.inputs).toMatchObject({
        scale_by: 1.5,
        upscale_method: "bislerp",
      });
    },
  );
});

describe("sizes are whole steps of the latent space", () => {
  test.each([
    ["flux2", 1032, 16],
    ["hunyuan_image", 1040, 32],
  ])("with %s a width of %d is refused, with the step %d", (type, width, step) => {
    const refused = expect(() => graphOf(type, { width }));
    refused.toThrow(InvalidJobError);
    refused.toThrow(`width must be a multiple of ${step} with such components`);
  });

  test("the size of a start image is brought to them", () => {
    const wide = { ...startImage, width: 1000, height: 700 };
    const { width, height } = parseImageParameters(
      {
        ...{ prompt: "x", initImage: wide.id, vae: "z" },
        components: { unet: "x", textEncoders: ["y"], textEncoderType: "hunyuan_image" },
      },
      new Map([[wide.id, wide]]),
    );
    expect([width, height]).toEqual([992, 704]);
  });

  test("a mask fits a size that was brought to them", () => {
    const wide = { ...startImage, width: 1500, height: 501 };
    const mask = { ...maskImage, width: 1500, height: 501 };
    for (const textEncoderType of ["flux", "flux2", "hunyuan_image"]) {
      const given = {
        ...{ prompt: "x", initImage: wide.id, mask: mask.id, vae: "z" },
        components: { unet: "x", textEncoders: ["y", "z"], textEncoderType },
      };
      expect(
        parseImageParameters(given, new Map([wide, mask].map((upload) => [upload.id, upload]))),
      ).toMatchObject({ mask: mask.id });
    }
  });
});
