import { buffer } from "node:stream/consumers";
import { GengaClient } from "@genga/client";
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
const endSchema = z.object({ counts: z.record(z.string(), z.number()), done: z.boolean() });

/** Submits the graphs as one batch, and waits until the API tells that all are completed, as a script would. */
export async function runGenga(apiUrl: string, graphs: readonly Workflow[]): Promise<number> {
  const client = new GengaClient({ baseUrl: apiUrl });
  const startedAt = performance.now();
  const response = await fetch(`${apiUrl}/api/anime/batches`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jobs: graphs.map((workflow) => ({ type: "workflow", workflow })) }),
  });
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  const { id: batch } = acceptedSchema.parse(await response.json());
  for await (const told of client.events({ batch, status: ["failed", "timeout", "cancelled"] })) {
    if (told.kind === "event") throw new Error(`a job did not complete: ${JSON.stringify(told.event)}`);
    if (told.kind !== "snapshot") continue;
    const { counts, done } = endSchema.parse(told.snapshot);
    if (!done) continue;
    if (counts["completed"] === graphs.length) return performance.now() - startedAt;
    throw new Error(`some jobs failed: ${JSON.stringify(counts)}`);
  }
  throw new Error("The batch was removed.");
}

/** Rounds of `warmUp` that are enough for most code to be compiled. */
const warmUps = 3;

/**
 * The same graphs on a server, by Genga and through its door for ComfyUI's clients, some times. The processes of a farm run for days,
 * and first batches are slower, while V8 interprets what it has not compiled yet.
 */
export async function warmUp(
  { comfyUrl, apiUrl, doorUrl }: { comfyUrl: string; apiUrl: string; doorUrl: string },
  graphs: (name: string) => readonly Workflow[],
  fetchesFiles: boolean,
): Promise<void> {
  for (let round = 1; round <= warmUps; round += 1) {
    await runPlain(comfyUrl, graphs(`warm-up-${round}`), { fetchesFiles });
    await runGenga(apiUrl, graphs(`warm-up-genga-${round}`));
    await runPlain(doorUrl, graphs(`warm-up-door-${round}`), { fetchesFiles: true });
  }
}
