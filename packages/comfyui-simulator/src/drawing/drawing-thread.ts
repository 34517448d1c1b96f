import { writeFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { type DrawingJob, type DrawingReply, type PreviewPicture } from "./drawing-job.ts";
import { type Picture } from "./picture.ts";
import { encodeFlatPng } from "./png.ts";

interface Waiting {
  readonly resolve: (bytes: Buffer) => void;
  readonly reject: (error: Error) => void;
  readonly onFrame: (() => void) | undefined;
}

/**
 * Flat pictures up to this many pixels are written by the caller's own thread, which is faster than asking another
 * thread.
 */
const flatPixelsMax = 512 * 512;

/**
 * Draws and encodes, in a thread of its own so that HTTP and sockets stay as quick as on a real server, where a GPU
 * does the work. The thread starts with the first picture that needs it.
 */
export class DrawingThread {
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #isClosed = false;

  /** Does one job; jobs run one after another. @param onFrame called for each frame that was written */
  async draw(job: DrawingJob, onFrame?: () => void): Promise<Buffer> {
    if (job.kind === "png" && job.picture.op === "flat" && isSmall(job.picture)) {
      writeFileSync(job.file, encodeFlatPng(job.picture, job.texts));
      return Buffer.alloc(0);
    }
    return this.#ask(job, onFrame);
  }

  preview(preview: PreviewPicture): Promise<Buffer> {
    const { picture, format, noise, sizeMax } = preview;
    if (format === "png" && picture.op === "flat" && isSmall(picture) && sizeMax === undefined) {
      return Promise.resolve(encodeFlatPng(picture, new Map()));
    }
    return this.#ask({ kind: "preview", picture, format, noise, sizeMax });
  }

  /** Starts the drawing thread before it is needed. */
  warmUp(): void {
    this.#startWorker();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#failAll(new Error("the drawing thread is closed"));
  }

  #ask(job: DrawingJob, onFrame?: () => void): Promise<Buffer> {
    if (this.#isClosed) return Promise.reject(new Error("the drawing thread is closed"));
    const worker = this.#startWorker();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onFrame });
      worker.postMessage({ id, job });
    });
  }

  #startWorker(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL("./drawing-worker-entry.mjs", import.meta.url), { execArgv: [] });
    worker.on("message", (reply: DrawingReply) => {
      this.#receive(reply);
    });
    worker.on("error", (error: Error) => {
      this.#worker = undefined;
      this.#failAll(error);
    });
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #receive(reply: DrawingReply): void {
    const waiting = this.#waiting.get(reply.id);
    if (reply.kind === "frame") {
      waiting?.onFrame?.();
      return;
    }
    this.#waiting.delete(reply.id);
    if (reply.kind === "done") waiting?.resolve(Buffer.from(reply.bytes));
    else waiting?.reject(new Error(reply.message));
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function isSmall(picture: Picture): boolean {
  return picture.width * picture.height <= flatPixelsMax;
}
