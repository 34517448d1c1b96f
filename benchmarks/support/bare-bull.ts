import { Queue, Worker } from "bullmq";

/** Jobs that a BullMQ worker has under way at the same time. */
const concurrency = 64;

/**
 * The peer of the pipeline: BullMQ alone, with jobs that do nothing, in this process.
 * @returns ms from the beginning of one `addBulk` until the last job is completed
 */
export async function measureBareBull(redisUrl: string, jobs: number): Promise<number> {
  const { hostname: host, port, password } = new URL(redisUrl);
  const connection = { host, port: Number(port), ...(password !== "" && { password }) };
  const queue = new Queue(`bare-${crypto.randomUUID()}`, { connection });
  const worker = new Worker(queue.name, () => Promise.resolve(), {
    connection: { ...connection, maxRetriesPerRequest: null },
    concurrency,
    autorun: false,
    removeOnComplete: { count: 0 },
  });
  worker.on("error", (error) => {
    console.error(error);
  });
  try {
    await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
    let completed = 0;
    const all = new Promise<void>((resolve) => {
      worker.on("completed", () => {
        completed += 1;
        if (completed === jobs) resolve();
      });
    });
    const startedAt = performance.now();
    void worker.run();
    await queue.addBulk(Array.from({ length: jobs }, (_, index) => ({ name: "none", data: { index } })));
    await all;
    return performance.now() - startedAt;
  } finally {
    await worker.close();
    await queue.obliterate({ force: true });
    await queue.close();
  }
}
