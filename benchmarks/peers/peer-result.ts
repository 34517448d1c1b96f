import { z } from "zod";

/** What a peer says about its run. */
export const peerResultSchema = z.object({
  wallMs: z.number(),
  /** By the place of the graph: whether the peer ended the job well and fetched its picture within the deadline. */
  isDone: z.array(z.boolean()),
  /** What the peer said of jobs that are not done, each once. */
  reasons: z.array(z.string()).default([]),
});

export type PeerResult = z.input<typeof peerResultSchema>;

/** Runs all graphs at once; a job that throws or is not done at the deadline is not done. */
export async function runAll<Graph>(
  graphs: readonly Graph[],
  deadlineMs: number,
  runOne: (graph: Graph) => Promise<unknown>,
): Promise<PeerResult> {
  const startedAt = performance.now();
  const isDone = graphs.map(() => false);
  const reasons = new Set<string>();
  const all = Promise.all(
    graphs.map(async (graph, place) => {
      try {
        await runOne(graph);
        isDone[place] = true;
      } catch (error) {
        reasons.add(String(error).slice(0, 200));
      }
    }),
  );
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise((resolve) => (timer = setTimeout(resolve, deadlineMs)));
  await Promise.race([all, deadline]);
  clearTimeout(timer);
  return { wallMs: performance.now() - startedAt, isDone: [...isDone], reasons: [...reasons] };
}

/** @throws Error when there is no picture at this URL */
export async function fetchPicture(url: string): Promise<void> {
  const response = await fetch(url);
  const bytes = await response.arrayBuffer();
  if (!response.ok || bytes.byteLength === 0) throw new Error(`${url}: ${response.status}`);
}
