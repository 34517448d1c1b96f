import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { type Workflow } from "@genga/comfyui";
import { freePort } from "@genga/embedded";
import { z } from "zod";
import { fetchPicture, runAll, type PeerResult } from "./peer-result.ts";

/** Looks at a job as the official client for Python does: soon at first, then less often. */
const looks = { firstMs: 500, factor: 1.5, maxMs: 5_000 };
const lookEveryMs = 100;
const startMs = 60_000;
const jobSchema = z.object({
  id: z.string(),
  status: z.string(),
  outputs: z.array(z.object({ url: z.string() })).default([]),
});

/** Runs graphs by `comfy-api-proxy`, with a client that posts all jobs at once, asks for each, and fetches its pictures. */
export async function runProxy(
  comfyUrl: string,
  graphs: readonly Workflow[],
  options: { modules: string; stateDir: string; deadlineMs: number },
): Promise<PeerResult> {
  const port = await freePort();
  const script = "import sys; from comfy_api_proxy.cli import main; sys.exit(main())";
  const args = ["--comfyui", comfyUrl, "--port", String(port), "--state-dir", options.stateDir];
  const proxy = spawn("python3", ["-c", script, ...args], {
    stdio: ["ignore", "ignore", "ignore"],
    env: { ...process.env, PYTHONPATH: options.modules },
  });
  const exited = once(proxy, "exit");
  const base = `http://127.0.0.1:${port}`;
  try {
    await untilAnswers(`${base}/api/v2/jobs/none`);
    return await runAll(graphs, options.deadlineMs, (graph) => runOne(base, graph));
  } finally {
    proxy.kill("SIGKILL");
    await exited;
  }
}

async function runOne(base: string, workflow: Workflow): Promise<void> {
  const posted = await fetch(`${base}/api/v2/jobs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ workflow }),
  });
  if (posted.status !== 201) throw new Error(`${posted.status} ${await posted.text()}`);
  const { id } = jobSchema.parse(await posted.json());
  for (let waitMs = looks.firstMs; ; waitMs = Math.min(waitMs * looks.factor, looks.maxMs)) {
    const job = jobSchema.parse(await (await fetch(`${base}/api/v2/jobs/${id}`)).json());
    if (job.status === "succeeded") {
      if (job.outputs.length === 0) throw new Error("no picture");
      await Promise.all(job.outputs.map(({ url }) => fetchPicture(new URL(url, base).href)));
      return;
    }
    if (["failed", "canceled", "expired"].includes(job.status)) throw new Error(job.status);
    await sleep(waitMs);
  }
}

async function untilAnswers(url: string): Promise<void> {
  const deadline = performance.now() + startMs;
  for (;;) {
    try {
      await fetch(url);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(lookEveryMs);
    }
  }
}
