/**
 * Runs graphs by one of the npm peers, in a process of its own, since a peer may end its process or never end a job. Each
 * is used as its README shows, with all jobs posted at once, and fetches what its jobs have made.
 *
 * node --import tsx benchmarks/peers/node-peer-main.ts --peer NAME --modules FOLDER --url URL --graphs FILE --deadline-ms N
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { z } from "zod";
import { fetchPicture, runAll } from "./peer-result.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: { peer: text, modules: text, url: text, graphs: text, "deadline-ms": text },
});
const settings = z
  .object({
    peer: z.enum(["stable-canvas", "saintno"]),
    modules: z.string(),
    url: z.string(),
    graphs: z.string(),
    "deadline-ms": z.coerce.number(),
  })
  .parse(values);
const deadlineMs = settings["deadline-ms"];
type Graph = Record<string, unknown>;
const graphs = z
  .array(z.record(z.string(), z.unknown()))
  .parse(JSON.parse(await readFile(settings.graphs, "utf8")));

/** Runs one graph to its end, and returns the URLs of its pictures. @throws whatever the peer says of a job that failed */
type RunGraph = (graph: Graph) => Promise<string[]>;

/** A module of the peers' folder, of which no types are installed here. */
async function load(file: string): Promise<unknown> {
  return await import(pathToFileURL(join(settings.modules, "node_modules", file)).href);
}

/** Node 20 has no WebSocket of its own, and both peers take one. */
const webSocket: unknown = createRequire(join(settings.modules, "package.json"))("ws");

async function startStableCanvas(): Promise<RunGraph> {
  interface Client {
    connect(): Promise<unknown>;
    enqueue(graph: Graph, options: object): Promise<unknown>;
  }
  const { Client } = z
    .object({ Client: z.custom<new (options: object) => Client>() })
    .parse(await load("@stable-canvas/comfyui-client/dist/main.modern.mjs"));
  const client = new Client({ api_host: new URL(settings.url).host, WebSocket: webSocket });
  await client.connect();
  const outputSchema = z.object({ images: z.array(z.object({ data: z.string() })) });
  return async (graph) => {
    const output = await client.enqueue(graph, { disable_random_seed: true, timeout_ms: deadlineMs });
    return outputSchema.parse(output).images.map(({ data }) => data);
  };
}

async function startSaintno(): Promise<RunGraph> {
  interface Api {
    init(): Api;
    waitForReady(): Promise<unknown>;
    getPathImage(image: unknown): string;
  }
  interface Builder {
    setOutputNode(name: string, node: string): Builder;
  }
  interface Wrapper {
    onFinished(listener: (data: unknown) => void): Wrapper;
    onFailed(listener: (error: Error) => void): Wrapper;
    run(): Promise<unknown>;
  }
  const { ComfyApi, PromptBuilder, CallWrapper } = z
    .object({
      ComfyApi: z.custom<new (url: string, clientId: string, options: object) => Api>(),
      PromptBuilder: z.custom<new (graph: Graph, inputs: string[], outputs: string[]) => Builder>(),
      CallWrapper: z.custom<new (api: Api, prompt: Builder) => Wrapper>(),
    })
    .parse(await load("@saintno/comfyui-sdk/build/index.esm.js"));
  const api = new ComfyApi(settings.url, crypto.randomUUID(), { customWebSocketImpl: webSocket }).init();
  await api.waitForReady();
  const finishedSchema = z.object({ images: z.object({ images: z.array(z.unknown()) }) });
  return (graph) =>
    new Promise((resolve, reject) => {
      const saving = Object.entries(graph).find(([, node]) => isSaving(node))?.[0] ?? "";
      new CallWrapper(api, new PromptBuilder(graph, [], ["images"]).setOutputNode("images", saving))
        .onFinished((data) => {
          const parsed = finishedSchema.safeParse(data);
          if (parsed.success) resolve(parsed.data.images.images.map((image) => api.getPathImage(image)));
          else reject(parsed.error);
        })
        .onFailed(reject)
        .run()
        .catch(reject);
    });
}

function isSaving(node: unknown): boolean {
  return z.object({ class_type: z.literal("SaveImage") }).safeParse(node).success;
}

// What a peer does not catch itself must not end the others of its jobs: they may still end well.
process.on("unhandledRejection", () => undefined);
process.on("uncaughtException", () => undefined);
const runGraph = await { "stable-canvas": startStableCanvas, saintno: startSaintno }[settings.peer]();
const result = await runAll(graphs, deadlineMs, async (graph) => {
  const urls = await runGraph(graph);
  if (urls.length === 0) throw new Error("no picture");
  await Promise.all(urls.map(fetchPicture));
});
process.send?.({ type: "result", result }, () => process.exit(0));
