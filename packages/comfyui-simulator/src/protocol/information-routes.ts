import { freemem, totalmem } from "node:os";
import type { NodeCatalog } from "../nodes/node-catalog.ts";
import type { ModelFiles } from "../options.ts";
import type { PythonJson } from "../python/python-json.ts";
import { emptyReply, jsonReply, textReply, type Reply } from "./http-exchange.ts";
import type { HttpRouter } from "./http-router.ts";

/** What the server says about itself, and asks of nobody. */
export function serverFeatures(bodyBytesMax: number): PythonJson {
  return { supports_preview_metadata: true, max_upload_size: bodyBytesMax };
}

/** `/object_info`, `/models` and the other routes that only tell what the server is and has (PROTOCOL 1). */
export function registerInformationRoutes(
  router: HttpRouter,
  catalog: NodeCatalog,
  models: ModelFiles,
  about: { readonly version: string; readonly bodyBytesMax: number; readonly argv: () => readonly string[] },
): void {
  router.add("/", { GET: () => ({ status: 200, headers: { "content-type": "text/html" }, body: PAGE }) });
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
  router.add("/features", { GET: () => jsonReply(serverFeatures(about.bodyBytesMax)) });
  router.add("/system_stats", { GET: () => systemStats(about.version, about.argv()) });
}

const PAGE = "<!doctype html><title>ComfyUI simulator</title><p>This server has no web page of its own.</p>";

/** `GET /ws` without an upgrade, which also is how a browser finds out that there is a socket. */
function noUpgrade(asked: string): Reply {
  return textReply(400, `No WebSocket UPGRADE hdr: ${asked}\n Can "Upgrade" only to "WebSocket".`);
}

function systemStats(version: string, argv: readonly string[]): Reply {
  const [total, free] = [totalmem(), freemem()];
  return jsonReply({
    system: {
      os: "posix",
      ram_total: total,
      ram_free: free,
      comfyui_version: version,
      required_frontend_version: "1.27.10",
      installed_templates_version: null,
      required_templates_version: "0.1.95",
      python_version: "3.11.7 (simulated)",
      pytorch_version: "2.13.0+cpu",
      embedded_python: false,
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
