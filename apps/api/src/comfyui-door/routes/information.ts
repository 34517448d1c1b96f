import { freemem, totalmem } from "node:os";
import { isFreshTag } from "../../http/entity-tag.ts";
import { doorFeatures } from "../door-features.ts";
import { anyBody, type DoorRequest, type DoorRoute } from "../door-route.ts";
import { type DoorParts } from "../door-parts.ts";
import { type InputFile } from "../served-definitions.ts";
import { takesWork, type ServerDevice } from "@genga/jobs";
import { type ModelKind } from "@genga/comfyui";

export const getObjectInfo: DoorRoute = {
  id: "getObjectInfo",
  method: "GET",
  path: "/object_info",
  handle: (asked, parts) => sendDefinitions(asked, parts),
};

export const getObjectInfoOfClass: DoorRoute = {
  id: "getObjectInfoOfClass",
  method: "GET",
  path: "/object_info/:classType",
  handle: (asked, parts) => sendDefinitions(asked, parts, String(asked.request.params["classType"])),
};

async function sendDefinitions(
  { request, response, principal }: DoorRequest,
  { door }: DoorParts,
  classType?: string,
): Promise<void> {
  const named = await door.files.listInputs(principal.tenant.id);
  const files: InputFile[] = named.map(({ subfolder, name, mediaType }) => ({
    path: subfolder === "" ? name : `${subfolder}/${name}`,
    mediaType,
  }));
  const { json, etag } = await door.definitions.objectInfo(files, classType);
  response.set({ etag, "cache-control": "private, no-cache" });
  if (isFreshTag(request.get("if-none-match"), etag)) response.status(304).end();
  else response.type("json").send(json);
}

export const getNodeReplacements: DoorRoute = {
  id: "getNodeReplacements",
  method: "GET",
  path: "/node_replacements",
  handle: async ({ response }, { door }) => {
    response.type("json").send(await door.definitions.replacements());
  },
};

/** The folders of a server's models. Those without a kind have no list in any class. */
const modelFolders: Readonly<Record<string, ModelKind | null>> = {
  ...{
    checkpoints: "checkpoints",
    configs: null,
    loras: "loras",
    vae: "vae",
    text_encoders: "text-encoders",
  },
  ...{ diffusion_models: "diffusion-models", clip_vision: "clip-vision", style_models: "style-models" },
  ...{
    embeddings: null,
    diffusers: "diffusers",
    vae_approx: null,
    controlnet: "controlnet",
    gligen: "gligen",
  },
  ...{ upscale_models: "upscale-models", latent_upscale_models: "latent-upscale-models", custom_nodes: null },
  ...{
    hypernetworks: "hypernetworks",
    photomaker: "photomaker",
    classifiers: null,
    model_patches: "model-patches",
  },
  ...{ audio_encoders: "audio-encoders", animatediff_models: "motion-modules" },
};

export const getModels: DoorRoute = {
  id: "getModels",
  method: "GET",
  path: "/models",
  handle: ({ response }) => {
    response.json(Object.keys(modelFolders));
  },
};

export const getModelsOfFolder: DoorRoute = {
  id: "getModelsOfFolder",
  method: "GET",
  path: "/models/:folder",
  handle: async ({ request, response }, { models }) => {
    const folder = String(request.params["folder"]);
    const kind = Object.hasOwn(modelFolders, folder) ? modelFolders[folder] : undefined;
    if (kind === undefined) {
      response.status(404).end();
      return;
    }
    const { entries } = await models.catalogue();
    response.json(entries.flatMap((entry) => (entry.kind === kind ? [entry.name] : [])));
  },
};

/** No list of a server shows embeddings; prompts name them. */
export const getEmbeddings: DoorRoute = {
  id: "getEmbeddings",
  method: "GET",
  path: "/embeddings",
  handle: ({ response }) => {
    response.json([]);
  },
};

export const getExtensions: DoorRoute = {
  id: "getExtensions",
  method: "GET",
  path: "/extensions",
  handle: ({ response }) => {
    response.json([]);
  },
};

/** Says that this is Genga, so that no Genga takes it for a server. The RAM is that of the machine of this process. */
export const getSystemStats: DoorRoute = {
  id: "getSystemStats",
  method: "GET",
  path: "/system_stats",
  isPolled: true,
  handle: async ({ response }, { door, servers, version }) => {
    const [newest, farm] = [await door.definitions.version(), await servers.farm()];
    const working = farm.servers.filter(({ state }) => takesWork(state));
    response.json({
      system: {
        ...{ os: process.platform === "win32" ? "nt" : "posix", ram_total: totalmem(), ram_free: freemem() },
        ...{ comfyui_version: newest ?? "unknown", required_frontend_version: null },
        ...{
          python_version: `none (Genga ${version})`,
          pytorch_version: "none",
          embedded_python: false,
          argv: [],
        },
      },
      devices: working.flatMap(({ devices }, index) =>
        devicesOf(devices ?? [], working.length === 1 ? "" : `server ${index + 1}: `),
      ),
      genga: { version, servers: working.length },
    });
  },
};

/** Names of devices stay as their server has them; which server it is, tenants do not learn. */
function devicesOf(devices: readonly ServerDevice[], server: string): object[] {
  return devices.map(({ name, type, totalBytes, freeBytes }, index) => ({
    ...{ name: `${server}${name}`, type, index: type === "cpu" ? null : index },
    ...{
      vram_total: totalBytes,
      vram_free: freeBytes,
      torch_vram_total: totalBytes,
      torch_vram_free: freeBytes,
    },
  }));
}

export const getFeatures: DoorRoute = {
  id: "getFeatures",
  method: "GET",
  path: "/features",
  handle: ({ response }) => {
    response.json(doorFeatures);
  },
};

/** Answered, and passed on to no server: it would slow down everybody. */
export const postFree: DoorRoute = {
  id: "postFree",
  method: "POST",
  path: "/free",
  receive: anyBody,
  handle: ({ response }) => {
    response.status(200).end();
  },
};
