import fc from "fast-check";

/** Writes a path in another way that some server may read as the same file. */
export type Spelling = (path: string) => string;

const escapeAll = (path: string): string =>
  Array.from(path, (character) => `%${Buffer.from(character).toString("hex").padStart(2, "0")}`).join("");

/** Each does one thing to a path below a server's input, output or temporary folder. */
const turns: readonly Spelling[] = [
  ...["[input]", "[output]", "[temp]"].flatMap((mark) => [
    (path: string) => `${path} ${mark}`,
    (path: string) => `${path}?${mark}`,
    (path: string) => `${path}${mark}`,
    (path: string) => `${path} ${mark.toUpperCase()}`,
  ]),
  ...["./", "/", "//", ".\\", "x/../", "../input/", "../output/", "../temp/", "..\\output\\", "/input/"].map(
    (start) => (path: string) => start + path,
  ),
  ...[
    "C:",
    "C:\\ComfyUI\\output\\",
    "c:/",
    "\\\\?\\C:\\",
    "file:///srv/ComfyUI/output/",
    "~/",
    "/srv/ComfyUI/input/",
  ].map((start) => (path: string) => start + path),
  (path) => path.replaceAll("/", "\\"),
  (path) => path.replaceAll("/", "//"),
  (path) => path.replaceAll("/", "/./"),
  (path) => path.replaceAll("/", "/x/../"),
  (path) => path.replaceAll("/", "%2f"),
  (path) => path.replaceAll("/", "%255C"),
  (path) => path.replaceAll("/", "∕"),
  (path) => path.replace("genga", "GENGA"),
  (path) => path.replace("genga", "g%65nga"),
  (path) => path.replace("genga", "gen\u200bga"),
  (path) => path.replace("genga", "ｇenga"),
  (path) => path.replace("genga", "genga."),
  (path) => path.replace("genga", "genga "),
  (path) => path.replace("genga", "genga:$DATA"),
  (path) => path.replace(".png", ".PNG"),
  (path) => path.replace(".png", ".png."),
  (path) => path.replace(".png", ".png\u0000.png"),
  (path) => `"${path}"`,
  (path) => ` ${path} `,
  escapeAll,
];

/** Spellings of up to four turns each; the same seed gives the same ones. */
export function someSpellings(count: number, seed: number): Spelling[] {
  const indexes = fc.array(fc.nat(turns.length - 1), { maxLength: 4 });
  return fc
    .sample(indexes, { numRuns: count, seed })
    .map(
      (chosen) => (path: string) =>
        chosen.reduce((spelled, index) => turns[index]?.(spelled) ?? spelled, path),
    );
}

const save = (images: unknown): object => ({
  class_type: "SaveImage",
  inputs: { images, filename_prefix: "found" },
});
const graph = (nodes: Record<string, object>): object => ({
  type: "workflow",
  workflow: { ...nodes, "2": save(["1", 0]) },
});
const load = (image: unknown): object => ({ class_type: "LoadImage", inputs: { image } });
/** A text of which no part is the name: two halves that the server joins, and a switch that hides what type it is. */
const built = (name: string): Record<string, object> => ({
  "10": {
    class_type: "StringConcatenate",
    inputs: { string_a: name.slice(0, 3), string_b: name.slice(3), delimiter: "" },
  },
  "11": { class_type: "ComfySwitchNode", inputs: { switch: true, on_false: ["10", 0], on_true: ["10", 0] } },
});

/** Where a name may stand in a job: in a loader, wrapped, in lists and members, and in texts that are linked into one. */
export const namePlaces: Readonly<Record<string, (name: string) => object>> = {
  "in LoadImage": (name) => graph({ "1": load(name) }),
  "in LoadImageOutput": (name) => graph({ "1": { class_type: "LoadImageOutput", inputs: { image: name } } }),
  "in LoadImageMask": (name) =>
    graph({
      "3": { class_type: "LoadImageMask", inputs: { image: name, channel: "red" } },
      "1": { class_type: "MaskToImage", inputs: { mask: ["3", 0] } },
    }),
  wrapped: (name) => graph({ "1": load({ __value__: name }) }),
  "wrapped twice": (name) => graph({ "1": load({ __value__: { __value__: name } }) }),
  "in a list": (name) => graph({ "1": load([name]) }),
  "in an object's key": (name) => graph({ "1": load({ [name]: name }) }),
  "in a dotted member": (name) =>
    graph({ "1": { class_type: "LoadImage", inputs: { image: "example.png", "image.name": name } } }),
  "in an input that is not declared": (name) =>
    graph({
      "1": {
        class_type: "EmptyImage",
        inputs: { width: 64, height: 64, batch_size: 1, color: 0, file: name },
      },
    }),
  "in a text": (name) =>
    graph({ "9": { class_type: "PrimitiveString", inputs: { value: name } }, "1": load(["9", 0]) }),
  "in LoadVideo": (name) =>
    graph({
      "3": { class_type: "LoadVideo", inputs: { file: name } },
      "1": { class_type: "GetVideoComponents", inputs: { video: ["3", 0] } },
    }),
};

/** Names that nothing can judge before the run: the server puts them together. */
export const builtPlaces: Readonly<Record<string, (name: string) => object>> = {
  joined: (name) => graph({ ...built(name), "1": load(["10", 0]) }),
  "joined, through a switch": (name) => graph({ ...built(name), "1": load(["11", 0]) }),
  "joined, into a mask": (name) =>
    graph({
      ...built(name),
      "3": { class_type: "LoadImageMask", inputs: { image: ["11", 0], channel: "red" } },
      "1": { class_type: "MaskToImage", inputs: { mask: ["3", 0] } },
    }),
  "joined, into a loader of a node pack": (name) =>
    graph({ ...built(name), "1": { class_type: "OpenByName", inputs: { name: ["11", 0] } } }),
};

/** Classes that read all files of a folder, of the server itself and of well-known packs. */
export const folderReaders: readonly object[] = [
  "genga",
  "genga/",
  "pictures",
  ".",
  "",
  "..",
  "../output/genga",
  "/",
].flatMap((folder) =>
  [
    { class_type: "LoadImageDataSetFromFolder", inputs: { folder } },
    { class_type: "LoadImageTextDataSetFromFolder", inputs: { folder } },
    { class_type: "LoadTrainingDataset", inputs: { folder_name: folder } },
    { class_type: "VHS_LoadImages", inputs: { directory: folder } },
    { class_type: "VHS_LoadImagesPath", inputs: { directory: folder } },
    { class_type: "VHS_LoadVideoPath", inputs: { video: folder } },
  ].map((node) => graph({ "1": node })),
);
