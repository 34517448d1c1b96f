import { type DoorMessage } from "@genga/jobs";

/** Messages that wait to be passed on; what comes beyond is dropped. */
const countMax = 20_000;
const bytesMax = 32 * 1024 * 1024;

/** What came from workers and was not passed on yet, of one tenant. */
export class Inbox {
  #messages: DoorMessage[] = [];
  #bytes = 0;

  get length(): number {
    return this.#messages.length;
  }

  /** Whether there is a message of this job. @param attemptMax messages of later attempts do not count; absent = all do */
  has(jobId: string, attemptMax = Number.POSITIVE_INFINITY): boolean {
    return this.#messages.some((message) => message.jobId === jobId && message.attempt <= attemptMax);
  }

  add(message: DoorMessage): void {
    const bytes = this.#bytes + sizeOf(message);
    if (this.length >= countMax || bytes > bytesMax) return;
    this.#messages.push(message);
    this.#bytes = bytes;
  }

  /** Takes the first ones out, in their order. */
  take(count: number): DoorMessage[] {
    const taken = this.#messages.slice(0, count);
    this.#messages = this.#messages.slice(count);
    for (const message of taken) this.#bytes -= sizeOf(message);
    return taken;
  }
}

function sizeOf(message: DoorMessage): number {
  if (message.kind === "frame") return message.frame.byteLength;
  return message.kind === "text" ? message.json.length : 0;
}
