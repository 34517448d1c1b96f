import { Worker } from "node:worker_threads";
import { z } from "zod";

const replySchema = z.object({ id: z.number(), left: z.array(z.string()) });

interface Waiting {
  resolve: (left: string[]) => void;
  reject: (error: Error) => void;
}

/**
 * Removes the folders of many jobs in a thread of its own. Each folder takes about ten short file system calls. In
 * Node's shared pool of four threads those calls would delay the files that are being stored, and would themselves wait
 * behind writes to the disk. The thread starts with the first removal, and starts again with the next removal after it
 * has died.
 */
export class FolderRemover {
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #requests = 0;

  /**
   * @param parent a path that `realpath` returned
   * @param names the names of folders in `parent`
   * @returns the names of the folders that could not be removed
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
    // The thread must not keep the process alive.
    thread.unref();
    return thread;
  }
}
