import { Worker } from "node:worker_threads";
import { z } from "zod";

const replySchema = z.object({ id: z.number(), left: z.array(z.string()) });

interface Waiting {
  resolve: (left: string[]) => void;
  reject: (error: Error) => void;
}

/**
 * Has a thread remove the folders of many jobs. Each takes about ten short calls; in Node's pool of four threads, which
 * everybody shares, they would stand in the way of files that are being stored, whose calls wait for the disk, and wait
 * behind them. The thread is started when it is first needed, and again after it died.
 */
export class FolderRemover {
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #requests = 0;

  /**
   * @param parent as `realpath` knows it
   * @param names of folders in it
   * @returns those that are still there, for whatever reason
   */
  async remove(parent: string, names: readonly string[]): Promise<string[]> {
    const id = (this.#requests += 1);
    const thread = (this.#thread ??= this.#start());
    try {
      return await new Promise<string[]>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        thread.postMessage({ id, parent, names });
      });
    } finally {
      this.#waiting.delete(id);
    }
  }

  #start(): Worker {
    const thread = new Worker(new URL("./remove-folders-thread.mjs", import.meta.url), { execArgv: [] });
    const died = (error: Error): void => {
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      for (const { reject } of this.#waiting.values()) reject(error);
    };
    thread.on("message", (message: unknown) => {
      const { id, left } = replySchema.parse(message);
      this.#waiting.get(id)?.resolve(left);
    });
    thread.on("error", (cause: unknown) => {
      const message = cause instanceof Error ? cause.message : String(cause);
      died(new Error(`The thread that removes folders broke: ${message}`, { cause }));
    });
    thread.on("exit", (code) => {
      died(new Error(`The thread that removes folders ended with ${code}.`));
    });
    // It serves the process and does not keep it alive.
    thread.unref();
    return thread;
  }
}
