import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema } from "../classes/object-info.ts";
import { type Workflow } from "../graph/workflow.ts";
import { mainModelOf } from "./main-model.ts";
import { serverNeedsOf } from "./server-needs.ts";

const model = (classType: string, input: string, name: string) => ({ classType, input, name });

describe("the main model of a graph", () => {
  test.each([
    ["a checkpoint", "CheckpointLoaderSimple", "ckpt_name"],
    ["a checkpoint in a node of a package", "Efficient Loader", "ckpt_name"],
    ["the base of two checkpoints", "Eff. Loader SDXL", "base_ckpt_name"],
    ["a diffusion model", "UNETLoader", "unet_name"],
    ["a quantised diffusion model", "UnetLoaderGGUF", "unet_name"],
    ["a diffusion model by its class", "DiffusionModelLoaderKJ", "model_name"],
    ["a video model", "WanVideoModelLoader", "model"],
    ["a transformer", "NunchakuFluxDiTLoader", "model_path"],
  ])("is %s", (_name, classType, input) => {
    expect(
      mainModelOf([model("VAELoader", "vae_name", "v.pt"), model(classType, input, "m.safetensors")]),
    ).toBe("m.safetensors");
  });

  test.each([
    ["UpscaleModelLoader", "model_name"],
    ["ADE_LoadAnimateDiffModel", "model_name"],
    ["ADE_AnimateDiffLoaderGen1", "model_name"],
    ["WanVideoVAELoader", "model_name"],
    ["ControlNetLoader", "control_net_name"],
    ["LoraLoader", "lora_name"],
    ["CLIPLoader", "clip_name"],
  ])("is none of what %s loads", (classType, input) => {
    expect(mainModelOf([model(classType, input, "m.safetensors")])).toBeNull();
  });

  test("is both models where one is for high and one for low noise, in any order", () => {
    const [high, low] = [
      model("UNETLoader", "unet_name", "wan_high.safetensors"),
      model("UNETLoader", "unet_name", "wan_low.safetensors"),
    ];
    expect(mainModelOf([low, high])).toBe("wan_high.safetensors + wan_low.safetensors");
    expect(mainModelOf([high, low, high])).toBe("wan_high.safetensors + wan_low.safetensors");
  });
});

describe("what a server must have for a graph", () => {
  const objectInfo = objectInfoSchema.parse({
    CheckpointLoaderSimple: { input: { required: { ckpt_name: [["a.safetensors", "b.safetensors"]] } } },
    LoadAnything: { input: { required: { path: ["STRING"] } } },
    SaveImage: { input: { required: { filename_prefix: ["STRING"] } } },
  });
  const graph = (checkpoint: string, prefix = "x", file = "local.safetensors"): Workflow => ({
    1: { class_type: "SaveImage", inputs: { filename_prefix: prefix } },
    2: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: checkpoint } },
    3: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: checkpoint } },
    4: { class_type: "LoadAnything", inputs: { path: file } },
  });

  test("are its classes and the models of its lists, each once", () => {
    expect(serverNeedsOf(graph("a.safetensors"), objectInfo)).toEqual({
      mainModel: "a.safetensors",
      classTypes: ["CheckpointLoaderSimple", "LoadAnything", "SaveImage"],
      models: [model("CheckpointLoaderSimple", "ckpt_name", "a.safetensors")],
    });
  });

  test("is the same for other values, and different for another model", () => {
    const needs = serverNeedsOf(graph("a.safetensors"), objectInfo);
    expect(serverNeedsOf(graph("a.safetensors", "y.ckpt", "other.ckpt"), objectInfo)).toEqual(needs);
    expect(serverNeedsOf(graph("b.safetensors"), objectInfo)).not.toEqual(needs);
  });

  test("is guessed from the names of files while no server is known", () => {
    expect(serverNeedsOf(graph("a.safetensors", "x", "local.txt"))).toEqual(
      serverNeedsOf(graph("a.safetensors", "x", "local.txt"), objectInfo),
    );
  });

  test("has no file that the list of the server which can run it lacks", () => {
    expect(serverNeedsOf(graph("elsewhere.safetensors"), objectInfo)).toMatchObject({
      mainModel: "elsewhere.safetensors",
      models: [],
    });
  });
});
