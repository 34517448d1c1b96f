/** A file that a node produced, as the server names it; its bytes are at `/view`. */
export interface FileReference {
  kind: "file";
  nodeId: string;
  /** The key under which the node returned it: `images`, `gifs`, `latents`, … It says nothing about the media type. */
  key: string;
  /** The index in that list. */
  index: number;
  filename: string;
  subfolder: string;
  type: "output" | "temp" | "input";
  /** The format that the node itself names (VideoHelperSuite: `video/h264-mp4`). */
  format?: string;
  frameRate?: number;
  /**
   * The node gave this text, which may or may not be the name of a file. If the server has no such file, the text
   * itself is the output.
   */
  orText?: string;
}

/** A text that a node produced. */
export interface TextReference {
  kind: "text";
  nodeId: string;
  key: string;
  index: number;
  text: string;
}

export type OutputReference = FileReference | TextReference;

/** `outputs` of a history entry: node id → key → list. */
export type PromptOutputs = Record<string, unknown>;

/**
 * Every file and text in the outputs of a prompt: any list element with a `filename`, under any key, since custom
 * nodes choose their own (PROTOCOL 7), any string, and the 3D models that nodes name in a string. Other values (`animated: [true]`) are not outputs.
 */
export function collectOutputs(outputs: PromptOutputs): OutputReference[] {
  return Object.entries(outputs).flatMap(([nodeId, node]) =>
    Object.entries(node ?? {}).flatMap(([key, list]: [string, unknown]) =>
      Array.isArray(list)
        ? (modelFileIn(key, list, nodeId) ??
          list.flatMap((element: unknown, index) => toReference(element, { nodeId, key, index }) ?? []))
        : [],
    ),
  );
}

type Place = Pick<FileReference, "nodeId" | "key" | "index">;

function toReference(element: unknown, place: Place): OutputReference | undefined {
  if (typeof element === "string") return { kind: "text", ...place, text: element };
  if (typeof element !== "object" || element === null || !("filename" in element)) return undefined;
  const file: Record<string, unknown> = { ...element };
  if (typeof file["filename"] !== "string" || file["filename"] === "") return undefined;
  return {
    kind: "file",
    ...place,
    ...splitFolder(file["filename"], typeof file["subfolder"] === "string" ? file["subfolder"] : ""),
    type: file["type"] === "temp" || file["type"] === "input" ? file["type"] : "output",
    ...(typeof file["format"] === "string" && { format: file["format"] }),
    ...(typeof file["frame_rate"] === "number" && { frameRate: file["frame_rate"] }),
  };
}

/**
 * `/view` silently drops folders inside `filename` and may then serve another file (PROTOCOL 7), so they are moved to
 * `subfolder`.
 */
function splitFolder(filename: string, subfolder: string): { filename: string; subfolder: string } {
  const cut = filename.lastIndexOf("/");
  if (cut < 0) return { filename, subfolder };
  const folders = [subfolder, filename.slice(0, cut)].filter((part) => part !== "");
  return { filename: filename.slice(cut + 1), subfolder: folders.join("/") };
}

const modelFile = /^[^/\\][^\\]*\.(glb|gltf|obj|stl|fbx|usdz|ply|splat|ksplat|spz)$/i;
/**
 * File names that preview nodes of 0.28 choose in the temporary folder. `Preview3D` is not among these nodes: it writes
 * to the output folder.
 */
const temporaryModel = /^preview(3d_advanced|_splat|_pointcloud)_[0-9a-f]{32}\./;

/**
 * Nodes for 3D models (Save3DAdvanced, SaveGaussianSplat, SavePointCloud and their previews, 0.28) return `result: [file,
 * camera, …]`, where the file is `subfolder/name` below the output folder: a plain text.
 */
function modelFileIn(key: string, list: unknown[], nodeId: string): FileReference[] | undefined {
  const [path] = list;
  if (key !== "result" || typeof path !== "string" || path.length > 500) return undefined;
  if (!modelFile.test(path) || path.split("/").includes("..")) return undefined;
  const type = temporaryModel.test(path) ? "temp" : "output";
  return [{ kind: "file", nodeId, key, index: 0, ...splitFolder(path, ""), type, orText: path }];
}
