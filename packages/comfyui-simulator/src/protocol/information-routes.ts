import { memoryBytes } from "../nodes/allocation.ts";
import { type NodeCatalog } from "../nodes/node-catalog.ts";
import { type ApiVersion, type ModelFiles } from "../options.ts";
import { type PythonJson } from "../python/python-json.ts";
import { emptyReply, jsonReply, textReply, type Reply } from "./http-exchange.ts";
import { type HttpRouter } from "./http-router.ts";
import { replacementsJson } from "./node-replacements.ts";

/** The abilities that the server announces, on a socket and at `/features`. */
export function serverFeatures(api: ApiVersion, bodyBytesMax: number): PythonJson {
  if (api === "0.3") return { supports_preview_metadata: true, max_upload_size: bodyBytesMax };
  return {
    supports_preview_metadata: true,
    supports_model_type_tags: true,
    max_upload_size: bodyBytesMax,
    extension: { manager: { supports_v4: true } },
    node_replacements: true,
    assets: false,
  };
}

/** `/object_info`, `/models` and the other routes that only describe the server (PROTOCOL 1). */
export function registerInformationRoutes(
  router: HttpRouter,
  catalog: NodeCatalog,
  models: ModelFiles,
  about: {
    readonly api: ApiVersion;
    readonly bodyBytesMax: number;
    readonly argv: () => readonly string[];
    /** Memory that is in use. */
    readonly usedBytes: () => number;
  },
): void {
  router.add("/", { GET: () => ({ status: 200, headers: { "content-type": "text/html" }, body: page }) });
  router.add("/ws", { GET: ({ headers }) => noUpgrade(headers.upgrade ?? "None") });
  router.add("/object_info", {
    GET: () => jsonReply(new Map(catalog.names().map((name) => [name, catalog.info(name) ?? {}]))),
  });
  router.add("/object_info/{}", {
    GET: ({ parameter }) => {
      const info = catalog.info(parameter);
      return jsonReply(info ? new Map([[parameter, info]]) : {});
    },
  });
  router.add("/models", {
    GET: () => jsonReply(Object.keys(models).filter((folder) => !folder.startsWith("animatediff_"))),
  });
  router.add("/models/{}", {
    GET: ({ parameter }) =>
      Object.hasOwn(models, parameter) ? jsonReply([...(models[parameter] ?? [])]) : emptyReply(404),
  });
  router.add("/embeddings", {
    GET: () => jsonReply((models["embeddings"] ?? []).map((name) => name.replace(/\.[^.]+$/, ""))),
  });
  router.add("/extensions", { GET: () => jsonReply([]) });
  router.add("/features", { GET: () => jsonReply(serverFeatures(about.api, about.bodyBytesMax)) });
  router.add("/system_stats", { GET: () => systemStats(about.api, about.argv(), about.usedBytes()) });
  if (about.api === "0.28") registerNewerRoutes(router);
}

function registerNewerRoutes(router: HttpRouter): void {
  router.add("/node_replacements", { GET: () => jsonReply(replacementsJson()) });
  for (const path of ["/assets", "/assets/{}", "/assets/hash/{}", "/tags"]) {
    router.addApiOnly(path, {
      GET: assetsAreOff,
      POST: assetsAreOff,
      PUT: assetsAreOff,
      DELETE: assetsAreOff,
    });
  }
}

/** The server was not started with `--enable-assets` (PROTOCOL-0.28, 4). */
function assetsAreOff(): Reply {
  const message = "Assets system is disabled. Start the server with --enable-assets to use this feature.";
  return jsonReply({ error: { code: "SERVICE_DISABLED", message, details: {} } }, 503);
}

const page = "<!doctype html><title>ComfyUI simulator</title><p>This server has no web page of its own.</p>";

/** `GET /ws` without an upgrade, which is also how a browser checks that the socket route exists. */
function noUpgrade(asked: string): Reply {
  return textReply(400, `No WebSocket UPGRADE hdr: ${asked}\n Can "Upgrade" only to "WebSocket".`);
}

/** Without a GPU the models are in the machine's memory, which is told as that of the one device, too. */
function systemStats(api: ApiVersion, argv: readonly string[], usedBytes: number): Reply {
  const [total, free] = [memoryBytes, memoryBytes - usedBytes];
  const runtime = {
    python_version: "3.11.7 (simulated)",
    pytorch_version: "2.13.0+cpu",
    embedded_python: false,
  };
  return jsonReply({
    system: {
      os: api === "0.3" ? "posix" : "linux",
      ram_total: total,
      ram_free: free,
      ...(api === "0.3"
        ? { ...olderSystem, ...runtime }
        : { ...newerSystem, ...runtime, deploy_environment: "local-git" }),
      argv,
    },
    devices: [
      {
        name: "cpu",
        type: "cpu",
        index: null,
        vram_total: total,
        vram_free: free,
        torch_vram_total: total,
        torch_vram_free: free,
      },
    ],
  });
}

const olderSystem = {
  comfyui_version: "0.3.64",
  required_frontend_version: "1.27.10",
  installed_templates_version: null,
  required_templates_version: "0.1.95",
};

const newerSystem = {
  comfyui_version: "0.28.0",
  required_frontend_version: "1.45.21",
  installed_templates_version: null,
  required_templates_version: "0.11.12",
  comfy_package_versions: [
    ["comfyui-frontend-package", "1.45.21"],
    ["comfyui-workflow-templates", "0.11.12"],
    ["comfyui-embedded-docs", "0.5.8"],
    ["comfy-kitchen", "0.2.22"],
    ["comfy-aimdo", "0.4.10"],
  ].map(([name = "", required = ""]) => ({ name, installed: required, required })),
};
