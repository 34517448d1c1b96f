/**
 * The examples of docs/clients.md, word for word: what stands between the marks. A test runs each of them, and compares the
 * document with this file.
 */
import { createWriteStream, openAsBlob } from "node:fs";
import { pipeline } from "node:stream/promises";
import { type AcceptedBatch, type GengaClient, GengaError, type GengaEvent } from "@genga/client";

/** @returns the SHA-256 of the file */
export async function makePicture(genga: GengaClient, file: string): Promise<string | undefined> {
  // begin: a picture
  const job = await genga.submit({ type: "image", prompt: "a lighthouse", seed: "18446744073709551615" });
  const ended = await genga.waitFor(job, {
    timeoutMs: 3_600_000,
    onProgress: ({ status, progress }) => {
      console.log(status, progress.percent, progress.nodeTitle);
    },
  });
  const [output] = ended.outputs;
  if (output === undefined) throw new Error(ended.failure?.message ?? ended.status);
  const { body, sha256 } = await genga.download(output);
  await pipeline(body, createWriteStream(file));
  // end
  return sha256;
}

export async function drawSketch(genga: GengaClient, file: string): Promise<string> {
  // begin: a picture of one's own
  const sketch = await genga.upload(await openAsBlob(file, { type: "image/png" }));
  const job = await genga.submit({ type: "image", prompt: "inked", initImage: sketch.id, denoise: 0.5 });
  // end
  return job.id;
}

export async function runSweep(genga: GengaClient): Promise<AcceptedBatch> {
  // begin: a sweep
  const batch = await genga.sweep(
    {
      base: { type: "image", prompt: "a harbour at dawn" },
      vary: { steps: [20, 30] },
      seeds: { count: 4, from: 7 },
    },
    { name: "harbour", project: "opening" },
  );
  const { counts } = await genga.waitFor(batch);
  if (counts.failed > 0) await genga.retry(batch);
  // end
  return batch;
}

export async function fetchZip(genga: GengaClient, batch: AcceptedBatch, file: string): Promise<void> {
  // begin: a zip
  const zip = await genga.zip(batch, { names: "{index}-{seed}.{ext}" });
  await pipeline(zip, createWriteStream(file));
  // end
}

export async function followProject(genga: GengaClient, take: (event: GengaEvent) => void): Promise<void> {
  // begin: events
  for await (const event of genga.events({ project: "opening", status: ["completed", "failed"] })) {
    take(event); // event.id is the place to go on from: events({ lastEventId: event.id })
    if (event.kind === "event" && event.event.type === "failed") break; // closes the connection
  }
  // end
}

export async function explainRefusal(genga: GengaClient, say: (line: string) => void): Promise<void> {
  // begin: refusals
  try {
    await genga.submit({ type: "image", prompt: "a cat", width: 100 });
  } catch (error) {
    if (!(error instanceof GengaError)) throw error;
    say(`${error.status} ${error.code}: ${error.detail}`);
    for (const { path, message, accepted } of error.problems) say(`${path}: ${message} ${String(accepted)}`);
  }
  // end
}

export async function listPrompts(genga: GengaClient): Promise<readonly string[]> {
  // begin: every route
  const { data } = await genga.http.GET("/api/anime/jobs", {
    params: { query: { status: ["queued", "processing"], limit: 100 } },
  });
  const prompts = data?.jobs.map(({ prompt }) => prompt ?? "");
  // end
  return prompts ?? [];
}
