import { type DoorPrompts } from "@genga/jobs";
import { type AskedHistory } from "./asked-history.ts";
import { queueEntry, type DoorHistory } from "./door-history.ts";

/** Of one answer, as UTF-16 characters: longer ones are read for each request, and never whole. */
const sharedCharactersMax = 1024 * 1024;

interface Queue {
  tenantId: string;
  keyName: string;
}

interface QueueAnswersParts {
  prompts: Pick<DoorPrompts, "listActive">;
  history: Pick<DoorHistory, "isNewer">;
  askedHistory: AskedHistory;
}

/** A read that is under way, and the one that begins after it. */
interface Reads {
  current: Promise<unknown>;
  next: Promise<Buffer | null> | null;
}

/**
 * Answers to `GET /queue`. Programs ask for the queue after each prompt that they send, many at once, and each answer has all graphs
 * that wait. So requests that come while the queue of their key is being read share the next read.
 */
export class QueueAnswers {
  readonly #parts: QueueAnswersParts;
  readonly #reads = new Map<string, Reads>();

  constructor(parts: QueueAnswersParts) {
    this.#parts = parts;
  }

  /** The answer as it is after this moment; `null` = it is too long to be shared. */
  shared(queue: Queue): Promise<Buffer | null> {
    const name = JSON.stringify([queue.tenantId, queue.keyName]);
    const known = this.#reads.get(name);
    if (known === undefined) {
      const reads: Reads = { current: Promise.resolve(), next: null };
      this.#reads.set(name, reads);
      return this.#begin(name, reads, queue);
    }
    known.next ??= known.current.then(() => {
      known.next = null;
      return this.#begin(name, known, queue);
    });
    return known.next;
  }

  #begin(name: string, reads: Reads, queue: Queue): Promise<Buffer | null> {
    const read = this.#readWhole(queue);
    const settled = read.catch(() => undefined);
    reads.current = settled;
    void settled.then(() => {
      if (reads.current === settled && reads.next === null) this.#reads.delete(name);
    });
    return read;
  }

  async #readWhole(queue: Queue): Promise<Buffer | null> {
    let text = "";
    for await (const piece of this.pieces(queue)) {
      text += piece;
      if (text.length > sharedCharactersMax) return null;
    }
    return Buffer.from(text);
  }

  /** The same answer piece by piece, however long it is. */
  async *pieces({ tenantId, keyName }: Queue): AsyncGenerator<string> {
    const { prompts, history, askedHistory } = this.#parts;
    const isNewer = await history.isNewer();
    yield '{"queue_running":[';
    let [isRunning, isFirst] = [true, true];
    const believedOpen = await askedHistory.believedOpen({ tenantId, keyName });
    for await (const page of prompts.listActive(tenantId, keyName, believedOpen)) {
      for (const prompt of page) {
        if (isRunning && prompt.status === "queued") {
          yield '],"queue_pending":[';
          [isRunning, isFirst] = [false, true];
        }
        yield `${isFirst ? "" : ","}${queueEntry(prompt, { isNewer })}`;
        isFirst = false;
      }
    }
    yield isRunning ? '],"queue_pending":[]}' : "]}";
  }
}
