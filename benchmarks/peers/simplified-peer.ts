import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Workflow } from "@genga/comfyui";
import { z } from "zod";
import { type PeerResult } from "./peer-result.ts";

/** What the client gets for its start, besides the deadline of its jobs. */
const besidesMs = 60_000;
const run = promisify(execFile);

/** Runs graphs by `comfy-api-simplified`, in a process of its own. It finds the output node by its title. */
export async function runSimplified(
  comfyUrl: string,
  graphs: readonly Workflow[],
  { modules, folder, deadlineMs }: { modules: string; folder: string; deadlineMs: number },
): Promise<PeerResult> {
  const path = join(folder, `${crypto.randomUUID()}.json`);
  await writeFile(path, JSON.stringify(graphs.map(titled)));
  const startedAt = performance.now();
  const args = ["benchmarks/peers/simplified_peer.py", `${comfyUrl}/`, path, String(deadlineMs / 1_000)];
  const { stdout } = await run("python3", args, {
    env: { ...process.env, PYTHONPATH: modules },
    timeout: deadlineMs + besidesMs,
  });
  const isDone = z.array(z.boolean()).length(graphs.length).parse(JSON.parse(stdout));
  return { isDone, wallMs: performance.now() - startedAt };
}

function titled(graph: Workflow): Workflow {
  return Object.fromEntries(
    Object.entries(graph).map(([id, node]) => {
      const title = node.class_type === "SaveImage" ? "Save Image" : node.class_type;
      return [id, { ...node, _meta: { title } }];
    }),
  );
}
