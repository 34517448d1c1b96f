import { objectInfo as recorded } from "@genga/comfyui-recordings";
import { describe, expect, test } from "@jest/globals";
import { withoutFileLists } from "../src/classes/file-lists.ts";
import { validateGraph } from "../src/checking/graph-validation.ts";
import { objectInfoSchema } from "../src/classes/object-info.ts";

type Group = Record<string, unknown>;

const classOf = (required: Group, more: object = {}): object => ({
  input: { required },
  output: [],
  ...more,
});

function inputOf(objectInfo: Record<string, unknown>, classType: string, input: string): unknown {
  const { required = {}, optional = {} } = (objectInfo[classType] as { input: Record<string, Group> }).input;
  return required[input] ?? optional[input];
}

describe("definitions without lists of files", () => {
  test.each([
    ["0.3.64", "core", "LoadImage", "image", { image_upload: true }],
    ["0.28", "core", "LoadImage", "image", { image_upload: true }],
    ["0.28", "core", "LoadVideo", "file", { multiselect: false, video_upload: true }],
    ["0.28", "core", "LoadAudio", "audio", { multiselect: false, audio_upload: true }],
    ["0.3.64", "video-helper-suite", "VHS_LoadVideo", "video", {}],
  ] as const)("%s, %s: %s has no %s any more", (version, name, classType, input, options) => {
    const stripped = withoutFileLists(JSON.parse(recorded(version, name)) as Group);
    expect(inputOf(stripped, classType, input)).toEqual([
      "COMBO",
      expect.objectContaining({ ...options, files_on_server: true }),
    ]);
    expect(JSON.stringify(inputOf(stripped, classType, input))).not.toMatch(/\.(png|mp4|wav)/);
  });

  test("leave every other input as the server told it", () => {
    for (const version of ["0.3.64", "0.28"] as const) {
      const before = JSON.parse(recorded(version, "core")) as Group;
      const after = withoutFileLists(before);
      expect(after["CheckpointLoaderSimple"]).toBe(before["CheckpointLoaderSimple"]);
      expect(after["KSampler"]).toBe(before["KSampler"]);
      expect(Object.keys(after)).toEqual(Object.keys(before));
    }
  });

  test("find the lists of packs by the files that they share with a loader of ComfyUI", () => {
    const stripped = withoutFileLists({
      LoadImage: classOf({ image: [["holiday.png"], { image_upload: true }] }),
      "Pick Image": classOf({ picture: [["none", "holiday.png"], { default: "holiday.png" }] }),
      PickModel: classOf({ model: [["a.safetensors"], {}] }),
      Gives: classOf({}, { output: [["holiday.png"], "IMAGE"] }),
      GeminiInputFiles: classOf({ file: ["COMBO", { options: ["secret.txt"], default: "secret.txt" }] }),
      LoadImageDataSetFromFolder: classOf({ folder: ["COMBO", { options: ["genga"] }] }),
      Nested: classOf({
        mode: [
          "COMFY_DYNAMICCOMBO_V3",
          {
            options: [{ key: "file", inputs: { required: { f: ["COMBO", { options: ["holiday.png"] }] } } }],
          },
        ],
      }),
    });
    expect(JSON.stringify(stripped)).not.toMatch(/holiday|secret|genga"/);
    expect(inputOf(stripped, "PickModel", "model")).toEqual([["a.safetensors"], {}]);
    expect(withoutFileLists(stripped)).toEqual(stripped);
  });

  test("are the same before and after somebody sends a file", () => {
    const withFiles = (files: string[]): Group => ({
      LoadImage: classOf({ image: [files, { image_upload: true }] }),
      LoadLatent: classOf({ latent: [files.filter((name) => name.endsWith(".latent"))] }),
    });
    expect(withoutFileLists(withFiles(["a.png", "b.latent"]))).toEqual(withoutFileLists(withFiles([])));
  });
});

describe("a graph that names a file of the server", () => {
  const objectInfo = objectInfoSchema.parse(
    withoutFileLists({ ...(JSON.parse(recorded("0.28", "core")) as Group) }),
  );
  const graph = (image: unknown): Parameters<typeof validateGraph>[0] => ({
    "1": { class_type: "LoadImage", inputs: { image } },
    "2": { class_type: "PreviewImage", inputs: { images: ["1", 0] } },
  });

  test("is left to the server, with a remark", () => {
    const { errors, warnings } = validateGraph(graph("own.png"), objectInfo);
    expect(errors).toEqual([]);
    expect(warnings).toMatchObject([{ code: "file_not_checked", nodeId: "1", input: "image" }]);
  });

  test.each(["genga/x.png", "own.png [output]"])(
    "is not remarked on where it names a folder: %s",
    (image) => {
      expect(validateGraph(graph(image), objectInfo)).toEqual({ errors: [], warnings: [] });
    },
  );

  test.each([[""], [7], [{ __value__: ["a.png"] }]])(
    "is refused where no server takes %j for a name",
    (image) => {
      const { errors } = validateGraph(graph(image), objectInfo);
      expect(errors).toHaveLength(1);
      expect(errors[0]?.accepted).toBeUndefined();
    },
  );
});
