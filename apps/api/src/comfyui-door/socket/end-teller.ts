import { setTimeout as sleep } from "node:timers/promises";
import { type DoorPrompt } from "@genga/jobs";
import { listsPictures } from "../rewrite-graph.ts";
import { isStart } from "./audience.ts";
import { type ClientSocket } from "./client-socket.ts";
import { type Outgoing } from "./outgoing.ts";
import { type PromptEnd, promptEndOf } from "./prompt-end.ts";

/** A picture of a node, which the client wants as a binary message. */
export interface StoredPicture {
  format: "jpeg" | "png";
  bytes: Uint8Array;
}

export interface EndTellerOptions {
  /**
   * What `GET /history` shows of these jobs, as JSON text with `outputs`, `status` and `meta`; `null` = the job has ended, and a
   * server would have nothing of it in its history. A job that has not ended has none.
   */
  readEnds: (
    tenantId: string,
    jobIds: readonly string[],
  ) => Promise<ReadonlyMap<string, { attempt: number; entry: string | null }>>;
  /** The pictures that a node of a job stored, in their order; each is read when its turn comes. */
  readPictures: (tenantId: string, jobId: string, node: string) => AsyncIterable<StoredPicture>;
}

/** The next picture waits while the client has not taken so many bytes. */
const waitingBytesMax = 16 * 1024 * 1024;
const lookEveryMs = 50;
/** A client that takes nothing for so long gets no more pictures. */
const stalledMs = 60_000;

/** Tells clients how their prompts ended, as PostgreSQL has it. */
export class EndTeller {
  readonly #options: EndTellerOptions;

  constructor(options: EndTellerOptions) {
    this.#options = options;
  }

  /** The recorded ends of those of these jobs that have ended; `null` = nobody is told of it. */
  async read(tenantId: string, jobIds: readonly string[]): Promise<Map<string, PromptEnd | null>> {
    const found = await this.#options.readEnds(tenantId, jobIds);
    return new Map(
      [...found].map(([jobId, { attempt, entry }]) => [
        jobId,
        entry === null ? null : promptEndOf(entry, attempt),
      ]),
    );
  }

  /**
   * Sends what a client was not told, the end, and at last that no node runs any more.
   * @param telling.tellStatus comes before the first message of the prompt and before the last one, as on a server
   * @param telling.onEnding the client is about to have the end
   * @param telling.onKnown called once: whether the client has all of it
   */
  async tell(
    socket: ClientSocket,
    prompt: DoorPrompt,
    items: readonly Outgoing[],
    telling: { tellStatus: () => void; onEnding: () => void; onKnown: (isDelivered: boolean) => void },
  ): Promise<void> {
    const { promptId } = prompt;
    for (const item of items) {
      if (isStart(item)) telling.tellStatus();
      if (item.kind === "pictures") await this.#sendPictures(socket, prompt, item);
      else if (item.kind === "text" && item.type === "executing")
        socket.executing(promptId, item.node ?? null, item.json);
      else if (item.kind === "text") socket.text(item.type, item.json);
      else socket.frame(item.frame, { ...item, promptId, isForAll: false });
    }
    telling.onEnding();
    telling.tellStatus();
    socket.deliver(() => {
      socket.executing(promptId, null, executingJson(null, promptId));
    }, telling.onKnown);
  }

  /**
   * A client takes binary messages for pictures of the node that was named last, so that node is named first, and again when
   * another prompt of the client was heard of between two pictures.
   */
  async #sendPictures(
    socket: ClientSocket,
    prompt: DoorPrompt,
    { node, displayNode }: { node: string; displayNode: string },
  ): Promise<void> {
    const { tenantId, jobId, promptId } = prompt;
    const isPlain = listsPictures(prompt, node);
    let isNamed = false;
    for await (const { format, bytes } of this.#options.readPictures(tenantId, jobId, node)) {
      await untilTaken(socket);
      if (!socket.isOpen) return;
      if (!isNamed || !socket.shows(promptId))
        socket.executing(promptId, node, executingJson(node, promptId, displayNode));
      isNamed = true;
      socket.picture({ promptId, node, isPlain }, format, bytes);
    }
  }
}

async function untilTaken(socket: ClientSocket): Promise<void> {
  let left = socket.waitingBytes;
  let takenAt = performance.now();
  while (socket.isOpen && socket.waitingBytes > waitingBytesMax) {
    await sleep(lookEveryMs);
    if (socket.waitingBytes < left) takenAt = performance.now();
    left = socket.waitingBytes;
    if (performance.now() - takenAt > stalledMs) socket.terminate();
  }
}

function executingJson(node: string | null, promptId: string, displayNode?: string): string {
  const data = { node, ...(displayNode !== undefined && { display_node: displayNode }), prompt_id: promptId };
  return JSON.stringify({ type: "executing", data });
}
