import { buffer } from "node:stream/consumers";
import { ComfyUIConnector, type Workflow } from "@genga/comfyui";
import { z } from "zod";

// The same graphs by a plain client of a server, and by Genga. Both return the wall time in milliseconds.

/**
 * Posts all graphs at once and waits for their ends.
 * @param options.fetchesFiles whether it also downloads what they have made
 */
export async function runPlain(
  comfyUrl: string,
  graphs: readonly Workflow[],
  { fetchesFiles }: { fetchesFiles: boolean },
): Promise<number> {
  const connector = new ComfyUIConnector({ baseUrl: comfyUrl });
  await connector.connect();
  const startedAt = performance.now();
  await Promise.all(
    graphs.map(async (workflow) => {
      const promptId = crypto.randomUUID();
      await connector.submit({ promptId, workflow, timeoutMs: 60_000 });
      for await (const event of connector.watch(promptId)) {
        if (event.type === "settled" && event.lookup.state !== "finished")
          throw new Error(event.lookup.state);
      }
      if (fetchesFiles) await fetchFiles(connector, promptId);
    }),
  );
  const wallMs = performance.now() - startedAt;
  await connector.close();
  return wallMs;
}

async function fetchFiles(connector: ComfyUIConnector, promptId: string): Promise<void> {
  for (const output of await connector.getJobOutputs(promptId)) {
    if (output.kind !== "file") continue;
    const { body } = await connector.downloadOutput(output);
    if ((await buffer(body)).length === 0) throw new Error("an empty file");
  }
}

const acceptedSchema = z.object({ id: z.string() });
const batchSchema = z.object({ counts: z.record(z.string(), z.number()) });

/**
 * Submits the graphs as one batch and waits until all are completed.
 * @param options.lookEveryMs between two looks, each of which costs the API a request
 */
export async function runGenga(
  apiUrl: string,
  graphs: readonly Workflow[],
  { lookEveryMs = 20 }: { lookEveryMs?: number } = {},
): Promise<number> {
  const startedAt = performance.now();
  const response = await fetch(`${apiUrl}/api/anime/batches`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jobs: graphs.map((workflow) => ({ type: "workflow", workflow })) }),
  });
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  const { id } = acceptedSchema.parse(await response.json());
  for (;;) {
    const answer = await fetch(`${apiUrl}/api/anime/batches/${id}`);
    const { counts } = batchSchema.parse(await answer.json());
    if (counts["completed"] === graphs.length) return performance.now() - startedAt;
    if ((counts["queued"] ?? 0) + (counts["processing"] ?? 0) + (counts["completed"] ?? 0) < graphs.length)
      throw new Error(`some jobs failed: ${JSON.stringify(counts)}`);
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}
