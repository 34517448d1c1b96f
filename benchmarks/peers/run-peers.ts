import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Workflow } from "@genga/comfyui";
import { ApiClient } from "@genga/testing";
import { z } from "zod";
import { peerModules, type PeerModules } from "./install-peers.ts";
import { peerResultSchema, runAll, type PeerResult } from "./peer-result.ts";
import { runProxy } from "./proxy-peer.ts";
import { runSimplified } from "./simplified-peer.ts";

/** Runs graphs on the server at `comfyUrl`; a job counts as done if its picture was fetched within the deadline. */
export interface Contestant {
  name: string;
  run: (comfyUrl: string, graphs: readonly Workflow[], deadlineMs: number) => Promise<PeerResult>;
}

/**
 * The peers.
 * @param folder for their files
 * @returns those that can be installed on this machine; of others the reason is printed
 */
export async function openPeers(folder: string): Promise<Contestant[]> {
  const modules = await peerModules();
  const node = (name: string, peer: string, installed: string): Contestant => ({
    name,
    run: (url, graphs, deadlineMs) => runNodePeer({ peer, installed, folder, url, graphs, deadlineMs }),
  });
  return [
    ...(modules.node === null
      ? []
      : [
          node("@stable-canvas/comfyui-client", "stable-canvas", modules.node),
          node("@saintno/comfyui-sdk", "saintno", modules.node),
        ]),
    ...proxyOf(modules, folder),
  ];
}

/** A client that runs one job at a time, in several threads. @returns nothing if it cannot be installed on this machine */
export async function openSimplified(folder: string): Promise<Contestant[]> {
  const { python } = await peerModules();
  if (python === null) return [];
  return [
    {
      name: "comfy-api-simplified",
      run: (url, graphs, deadlineMs) => runSimplified(url, graphs, { modules: python, folder, deadlineMs }),
    },
  ];
}

function proxyOf({ python }: PeerModules, folder: string): Contestant[] {
  if (python === null) return [];
  const run: Contestant["run"] = (url, graphs, deadlineMs) =>
    runProxy(url, graphs, { modules: python, stateDir: join(folder, crypto.randomUUID()), deadlineMs });
  return [{ name: "comfy-api-proxy", run }];
}

/** Genga, whose API at `apiUrl` already has the server: one batch, one look at it every 50 ms, and then all files. */
export function genga(apiUrl: string): Contestant {
  return {
    name: "Genga",
    run: async (_, graphs, deadlineMs) => {
      const api = new ApiClient(apiUrl);
      const startedAt = performance.now();
      const jobs = graphs.map((workflow) => ({ type: "workflow", workflow }));
      const { id, jobIds } = await api.submitBatch(jobs);
      while (performance.now() - startedAt < deadlineMs && (await isOpen(api, id))) await sleep(lookEveryMs);
      const leftMs = Math.max(fetchMs, deadlineMs - (performance.now() - startedAt));
      const { isDone } = await runAll(jobIds, leftMs, async (jobId) => {
        const outputs = await api.outputs(jobId);
        if (outputs.length === 0) throw new Error("no picture");
        await Promise.all(outputs.map((output) => api.download(output.id)));
      });
      return { isDone, wallMs: performance.now() - startedAt };
    },
  };
}

const lookEveryMs = 50;
/** For the files of the jobs that were completed at the deadline. */
const fetchMs = 5_000;

async function isOpen(api: ApiClient, batchId: string): Promise<boolean> {
  const { counts } = await api.batch(batchId);
  return (counts["queued"] ?? 0) + (counts["processing"] ?? 0) > 0;
}

const resultMessageSchema = z.object({ type: z.literal("result"), result: peerResultSchema });
/** What a peer gets for its start and its last fetches, besides the deadline of its jobs. */
const besidesMs = 60_000;

async function runNodePeer(options: {
  peer: string;
  installed: string;
  folder: string;
  url: string;
  graphs: readonly Workflow[];
  deadlineMs: number;
}): Promise<PeerResult> {
  const { peer, installed, folder, url, graphs, deadlineMs } = options;
  const path = join(folder, `${crypto.randomUUID()}.json`);
  await writeFile(path, JSON.stringify(graphs));
  const flags = { peer, modules: installed, url, graphs: path, "deadline-ms": String(deadlineMs) };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(process.execPath, ["--import", "tsx", "benchmarks/peers/node-peer-main.ts", ...args], {
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    timeout: deadlineMs + besidesMs,
    killSignal: "SIGKILL",
  });
  // A peer that ends its process has done nothing, as far as its user can know.
  let result: PeerResult = { wallMs: deadlineMs, isDone: graphs.map(() => false) };
  child.on("message", (message) => {
    result = resultMessageSchema.parse(message).result;
  });
  await once(child, "close");
  return result;
}
