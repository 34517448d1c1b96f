import { randomUUID } from "node:crypto";
import { type Workflow } from "@genga/comfyui";

/** One request to a route of the door, at its path without `/api`. */
interface Asked {
  path: string;
  /** A form, or what is sent as JSON. */
  body?: unknown;
}

/** What is asked at a route, so that nothing of another tenant's is told or changed there. */
export interface DoorCase {
  /** `shows` and `changes` the tenant's own things, or is in `common`: the same for every tenant. */
  kind: "shows" | "changes" | "common";
  /** Requests with names that several tenants have. @param picture to send, the same one for every tenant */
  asks: (picture: Blob) => Asked[];
}

/** What every tenant calls its client, its prompts and its files. */
export const names = {
  ...{ client: "one-canvas", drawing: "one-drawing" },
  prompts: {
    /** They have ended: with a file, with a text, and with a picture that travels as a frame. */
    ...{ saved: randomUUID(), spoken: randomUUID(), framed: randomUUID() },
    ...{ running: randomUUID(), waiting: randomUUID(), next: randomUUID() },
  },
  upload: "line-art.png",
  mask: { name: "line-art-mask.png", subfolder: "clipspace" },
  output: { filename: "scene_00001_.png", subfolder: "shared" },
};

const promptIds = Object.values(names.prompts);
const { running, waiting, saved, next } = names.prompts;

/** The input is saved under the name that all tenants use. */
function saving(first: Workflow[string]): Workflow {
  return {
    "1": first,
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "shared/scene" } },
  };
}

export function loading(image: string): Workflow {
  return saving({ class_type: "LoadImage", inputs: { image } });
}

export function uploadForm(file: Blob, name: string, fields: Record<string, string> = {}): FormData {
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) form.set(field, value);
  form.set("image", file, name);
  return form;
}

export function maskForm(file: Blob): FormData {
  const original = JSON.stringify({ filename: names.upload, subfolder: "", type: "input" });
  return uploadForm(file, names.mask.name, {
    ...{ original_ref: original, subfolder: names.mask.subfolder, overwrite: "true" },
  });
}

const fixed = (path: string, body?: unknown): DoorCase["asks"] => {
  return () => [{ path, ...(body !== undefined && { body }) }];
};
const views = [
  `filename=${names.upload}&type=input`,
  `filename=${encodeURIComponent(`${names.upload} [input]`)}`,
  `filename=${names.upload}&type=input&preview=webp;90`,
  `filename=${names.mask.name}&type=input&subfolder=${names.mask.subfolder}&channel=rgb`,
  `filename=${names.output.filename}&subfolder=${names.output.subfolder}`,
  `filename=${names.output.filename}&subfolder=${names.output.subfolder}&type=output&preview=jpeg`,
  ...["output", "temp"].map((type) => `filename=ComfyUI_00001_.png&type=${type}`),
];
const empty = {
  class_type: "EmptyImage",
  inputs: { width: 64, height: 64, batch_size: 1, color: 0x808080 },
};

/** A case for each route of the door's table, by the route's id. */
export const doorCases: Readonly<Record<string, DoorCase>> = {
  postPrompt: {
    kind: "changes",
    asks: () =>
      [
        ...[loading(names.upload), loading(`${names.output.subfolder}/${names.output.filename} [output]`)],
        saving(empty),
      ].map((prompt) => ({ path: "/prompt", body: { prompt, prompt_id: next, client_id: names.client } })),
  },
  getPrompt: { kind: "shows", asks: fixed("/prompt") },
  getQueue: { kind: "shows", asks: fixed("/queue") },
  postQueue: {
    kind: "changes",
    asks: () => [{ delete: promptIds }, { clear: true }].map((body) => ({ path: "/queue", body })),
  },
  postInterrupt: {
    kind: "changes",
    asks: () =>
      [{ prompt_id: running }, { prompt_id: waiting }, {}].map((body) => ({ path: "/interrupt", body })),
  },
  postFree: { kind: "common", asks: fixed("/free", { unload_models: true, free_memory: true }) },
  getHistory: {
    kind: "shows",
    asks: () =>
      ["", "?max_items=10000", "?max_items=5&offset=0"].map((query) => ({ path: `/history${query}` })),
  },
  getHistoryOfPrompt: {
    kind: "shows",
    asks: () =>
      promptIds.flatMap((id) => [{ path: `/history/${id}` }, { path: `/history/${id.toUpperCase()}` }]),
  },
  postHistory: {
    kind: "changes",
    asks: () => [{ delete: promptIds }, { clear: true }].map((body) => ({ path: "/history", body })),
  },
  listJobs: {
    kind: "shows",
    asks: () =>
      [
        ...["", "?status=completed,pending,in_progress&limit=1000", `?workflow_id=${names.drawing}`],
        "?sort_by=execution_duration&sort_order=asc",
      ].map((query) => ({ path: `/jobs${query}` })),
  },
  cancelJobs: { kind: "changes", asks: fixed("/jobs/cancel", { job_ids: promptIds }) },
  getJob: { kind: "shows", asks: () => promptIds.map((id) => ({ path: `/jobs/${id}` })) },
  cancelJob: {
    kind: "changes",
    asks: () => [waiting, running, saved].map((id) => ({ path: `/jobs/${id}/cancel` })),
  },
  view: { kind: "shows", asks: () => views.map((query) => ({ path: `/view?${query}` })) },
  uploadImage: {
    kind: "changes",
    asks: (picture) => [
      { path: "/upload/image", body: uploadForm(picture, names.upload) },
      { path: "/upload/image", body: uploadForm(picture, names.upload, { overwrite: "true" }) },
    ],
  },
  uploadMask: {
    kind: "changes",
    asks: (picture) => [{ path: "/upload/mask", body: maskForm(picture) }],
  },
  getObjectInfo: { kind: "shows", asks: fixed("/object_info") },
  getObjectInfoOfClass: { kind: "shows", asks: fixed("/object_info/LoadImage") },
  getNodeReplacements: { kind: "common", asks: fixed("/node_replacements") },
  getModels: { kind: "common", asks: fixed("/models") },
  getModelsOfFolder: { kind: "common", asks: fixed("/models/checkpoints") },
  getEmbeddings: { kind: "common", asks: fixed("/embeddings") },
  getExtensions: { kind: "common", asks: fixed("/extensions") },
  getSystemStats: { kind: "common", asks: fixed("/system_stats") },
  getFeatures: { kind: "common", asks: fixed("/features") },
  getWelcome: { kind: "common", asks: fixed("/") },
};
