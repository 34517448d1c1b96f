import { parentPort } from "node:worker_threads";
import { type DrawingReply, type DrawingRequest } from "./drawing-job.ts";
import { performDrawing } from "./perform-drawing.ts";

/** The drawing thread: one job after another, in the order in which they were asked for. */
let last: Promise<void> = Promise.resolve();

parentPort?.on("message", (request: DrawingRequest) => {
  last = last.then(() => perform(request));
});

async function perform({ id, job }: DrawingRequest): Promise<void> {
  const reply = (message: DrawingReply): void => {
    parentPort?.postMessage(message);
  };
  try {
    const bytes = await performDrawing(job, () => {
      reply({ id, kind: "frame" });
    });
    reply({ id, kind: "done", bytes });
  } catch (error) {
    reply({ id, kind: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}
