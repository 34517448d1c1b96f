import { type Workflow } from "@genga/comfyui";

/** The two node classes of `nullGraph`, as `/object_info` of a real server defines them. */
export const nullDefinitions = {
  EmptyImage: {
    input: {
      required: {
        width: ["INT", { default: 512, min: 1, max: 16_384, step: 1 }],
        height: ["INT", { default: 512, min: 1, max: 16_384, step: 1 }],
        batch_size: ["INT", { default: 1, min: 1, max: 4_096 }],
        color: ["INT", { default: 0, min: 0, max: 16_777_215, step: 1, display: "color" }],
      },
    },
    input_order: { required: ["width", "height", "batch_size", "color"] },
    output: ["IMAGE"],
    output_is_list: [false],
    output_name: ["IMAGE"],
    name: "EmptyImage",
    display_name: "EmptyImage",
    description: "",
    python_module: "nodes",
    category: "image",
    output_node: false,
  },
  SaveImage: {
    input: {
      required: { images: ["IMAGE", {}], filename_prefix: ["STRING", { default: "ComfyUI" }] },
      hidden: { prompt: "PROMPT", extra_pnginfo: "EXTRA_PNGINFO" },
    },
    input_order: { required: ["images", "filename_prefix"], hidden: ["prompt", "extra_pnginfo"] },
    output: [],
    output_is_list: [],
    output_name: [],
    name: "SaveImage",
    display_name: "Save Image",
    description: "Saves the input images to your ComfyUI output directory.",
    python_module: "nodes",
    category: "image",
    output_node: true,
  },
};

/** What a null server runs: EmptyImage → SaveImage. Each `index` makes another graph. */
export function nullGraph(name: string, index: number): Workflow {
  return {
    "1": {
      class_type: "EmptyImage",
      inputs: { width: 18, height: 18, batch_size: 1, color: index % 16_777_216 },
    },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: `${name}/${index}` } },
  };
}
