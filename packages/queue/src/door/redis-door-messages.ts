import {
  type DoorMessage,
  type DoorMessageGiver,
  type DoorMessageListener,
  type DoorMessageTaker,
  type DoorNote,
} from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { RedisLink, type QueueLogger } from "../redis/redis-link.ts";
import { RedisSubscriber } from "../redis/redis-subscriber.ts";
import { readItems, textOfMessage } from "./door-wire.ts";

export interface DoorMessagesOptions {
  redisUrl: string;
  /** The prefix of every channel; default: `genga`. */
  prefix?: string;
  logger: QueueLogger;
}

/** What follows other messages within this time is sent together with them. */
const togetherMs = 4;
/** Characters that wait or are on their way to Redis; what comes beyond is dropped. */
const sendingMax = 16 * 1024 * 1024;
/** One message; larger ones are dropped. Pictures of `progress` have about 50 kB. */
const messageMax = 4 * 1024 * 1024;
/** Tenants of which is known whether somebody listens. */
const tenantsMax = 10_000;

interface Waiting {
  texts: string[];
  characters: number;
}

/** Sends lists of messages to the channel of a tenant, with one write for all that came within a few milliseconds. */
class ChannelSender {
  readonly #options: Required<DoorMessagesOptions> & { purpose: string };
  readonly #heard = new LRUCache<string, boolean>({ max: tenantsMax });
  /** Tenants of whom it is not known whether somebody listens, by the first list whose answer tells. */
  readonly #unknown = new LRUCache<string, number>({ max: tenantsMax });
  #link: RedisLink | undefined;
  #waiting = new Map<string, Waiting>();
  #characters = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #lists = 0;
  #isClosed = false;

  constructor(options: Required<DoorMessagesOptions> & { purpose: string }) {
    this.#options = options;
  }

  /** Whether a subscriber got the last list of this tenant; as long as that is not known, one may have. */
  isHeard(tenantId: string): boolean {
    return this.#heard.get(tenantId) ?? true;
  }

  /** Somebody may have begun to listen. Whether somebody did is told by the answer to what is sent from now on. */
  forgetWhoHears(tenantId: string): void {
    this.#heard.delete(tenantId);
    this.#unknown.set(tenantId, this.#lists + 1);
  }

  send(tenantId: string, text: string): void {
    if (this.#isClosed || text.length > messageMax || this.#characters + text.length > sendingMax) return;
    this.#characters += text.length;
    const waiting = this.#waiting.get(tenantId) ?? { texts: [], characters: 0 };
    this.#waiting.set(tenantId, waiting);
    waiting.texts.push(text);
    waiting.characters += text.length;
    if (this.#timer !== null) return;
    const leftMs = this.#sentAt + togetherMs - performance.now();
    if (leftMs <= 0) this.#flush();
    else {
      this.#timer = setTimeout(() => {
        this.#flush();
      }, leftMs);
    }
  }

  async close(): Promise<void> {
    this.#flush();
    this.#isClosed = true;
    await this.#link?.close();
  }

  #flush(): void {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    this.#sentAt = performance.now();
    const lists = [...this.#waiting];
    this.#waiting = new Map();
    if (lists.length === 0) return;
    this.#lists += 1;
    const list = this.#lists;
    const { redisUrl, prefix, logger, purpose } = this.#options;
    this.#link ??= new RedisLink({ redisUrl, purpose, logger });
    this.#link
      .run(async (redis) => {
        const pipeline = redis.pipeline();
        for (const [tenantId, { texts }] of lists)
          pipeline.publish(channelOf(prefix, tenantId), `[${texts.join()}]`);
        return (await pipeline.exec()) ?? [];
      })
      .then((results) => {
        for (const [index, [tenantId]] of lists.entries()) {
          const [error, heard] = results[index] ?? [null, 0];
          const isOld = list < (this.#unknown.get(tenantId) ?? 0);
          if (error === null && typeof heard === "number" && !isOld) this.#heard.set(tenantId, heard > 0);
        }
      })
      .catch((error: unknown) => {
        // The link logs outages; a failure on a live connection gets its own line.
        if (this.#link?.isReady() === true)
          logger.warn({ err: error }, "Messages for clients of ComfyUI's protocol were not sent.");
      })
      .finally(() => {
        for (const [, { characters }] of lists) this.#characters -= characters;
      });
  }
}

/** The worker's side. Its connection is used for nothing else, so that large pictures delay no signal. Connects when it is first used. */
export class RedisDoorMessageGiver implements DoorMessageGiver {
  readonly #sender: ChannelSender;

  constructor({ redisUrl, prefix = "genga", logger }: DoorMessagesOptions) {
    const purpose = "sending messages to clients of ComfyUI's protocol";
    this.#sender = new ChannelSender({ redisUrl, prefix, logger, purpose });
  }

  publish(tenantId: string, message: DoorMessage): void {
    // A client usually connects before it sends its prompt, and the first picture must not be left out.
    if (message.kind === "text" && message.type === "execution_start") this.#sender.forgetWhoHears(tenantId);
    this.#sender.send(tenantId, textOfMessage(message));
  }

  isHeard(tenantId: string): boolean {
    return this.#sender.isHeard(tenantId);
  }

  async close(): Promise<void> {
    await this.#sender.close();
  }
}

/** The API's side: subscribes to the channel of a tenant only while somebody listens there. */
export class RedisDoorMessageTaker implements DoorMessageTaker {
  readonly #options: Required<DoorMessagesOptions>;
  readonly #sender: ChannelSender;
  #subscriber: RedisSubscriber | undefined;

  constructor({ redisUrl, prefix = "genga", logger }: DoorMessagesOptions) {
    this.#options = { redisUrl, prefix, logger };
    this.#sender = new ChannelSender({ ...this.#options, purpose: "telling other processes of sockets" });
  }

  listen(tenantId: string, listener: DoorMessageListener): { live: Promise<void>; end: () => void } {
    const { redisUrl, prefix, logger } = this.#options;
    const purpose = "receiving messages for clients of ComfyUI's protocol";
    this.#subscriber ??= new RedisSubscriber({ redisUrl, logger, purpose });
    return this.#subscriber.subscribe(
      channelOf(prefix, tenantId),
      (text) => {
        for (const item of readItems(text)) {
          if ("note" in item) listener.onNote(item.note);
          else listener.onMessage(item.message);
        }
      },
      () => {
        listener.onMissed();
      },
    );
  }

  note(tenantId: string, note: DoorNote): void {
    this.#sender.send(tenantId, JSON.stringify(note));
  }

  async close(): Promise<void> {
    await this.#subscriber?.close();
    await this.#sender.close();
  }
}

function channelOf(prefix: string, tenantId: string): string {
  return `${prefix}:door:${tenantId}`;
}
