import { randomUUID } from "node:crypto";
import {
  type PreviewGiver,
  type PreviewNote,
  type PreviewPicture,
  type PreviewTaker,
  type PreviewWish,
} from "@genga/jobs";
import { RedisLink, type QueueLogger } from "../redis/redis-link.ts";
import { RedisSubscriber } from "../redis/redis-subscriber.ts";
import { pictureOf, sentSchema, textOfNote, textOfPicture, wishSchema } from "./preview-messages.ts";

export interface PreviewsOptions {
  redisUrl: string;
  /** The prefix of every channel; default: `genga`. */
  prefix?: string;
  logger: QueueLogger;
}

/** On their way to Redis at once; more are dropped, and newer ones follow. */
const sendingBytesMax = 8 * 1024 * 1024;
const sendingMax = 1_000;

/**
 * Previews over Redis pub/sub. Pictures are large, and Redis cuts off a subscriber that does not read fast enough; so these
 * connections are used for nothing else, and no signal is lost with them. What is sent goes to the channel of the one process
 * that wants it. Connects when it is first used.
 */
abstract class RedisPreviews {
  readonly #options: Required<PreviewsOptions>;
  #link: RedisLink | undefined;
  #subscriber: RedisSubscriber | undefined;
  #sending = 0;
  #sendingBytes = 0;
  #isClosed = false;

  constructor({ redisUrl, prefix = "genga", logger }: PreviewsOptions) {
    this.#options = { redisUrl, prefix, logger };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.#subscriber?.close(), this.#link?.close()]);
  }

  protected get isClosed(): boolean {
    return this.#isClosed;
  }

  protected channel(name: string): string {
    return `${this.#options.prefix}:previews:${name}`;
  }

  protected listen(channel: string, onMessage: (value: unknown) => void): Promise<void> {
    this.#subscriber ??= new RedisSubscriber({ ...this.#options, purpose: "receiving previews" });
    return this.#subscriber.subscribe(channel, (text) => {
      onMessage(parseJson(text));
    }).live;
  }

  /** Best effort: while Redis is away, or is slow, messages are dropped. */
  protected send(channel: string, text: string): void {
    if (this.#isClosed || this.#sending >= sendingMax || this.#sendingBytes + text.length > sendingBytesMax)
      return;
    this.#link ??= new RedisLink({ ...this.#options, purpose: "sending previews" });
    this.#sending += 1;
    this.#sendingBytes += text.length;
    this.#link
      .run((redis) => redis.publish(channel, text))
      .catch((error: unknown) => {
        // The link logs outages; a failure on a live connection gets its own line.
        if (this.#link?.isReady() === true)
          this.#options.logger.warn({ err: error }, "A preview, or a request for previews, was not sent.");
      })
      .finally(() => {
        this.#sending -= 1;
        this.#sendingBytes -= text.length;
      });
  }
}

/** The API's side. */
export class RedisPreviewTaker extends RedisPreviews implements PreviewTaker {
  readonly #from = randomUUID();
  readonly #pictureListeners: ((picture: PreviewPicture) => void)[] = [];
  readonly #noteListeners: ((note: PreviewNote) => void)[] = [];
  #listening: Promise<void> | undefined;
  /** The newest wish that was not sent yet. */
  #waiting: Omit<PreviewWish, "from"> | null = null;

  wish(wish: Omit<PreviewWish, "from">): void {
    if (this.isClosed) return;
    // Sent only when answers can be heard. While Redis is away this stays pending, and later wishes repeat it.
    this.#listening ??= this.listen(this.channel(`to:${this.#from}`), (value) => {
      this.#receive(value);
    });
    if (this.#waiting === null) {
      this.#waiting = wish;
      void this.#listening.then(() => {
        const latest = this.#waiting;
        this.#waiting = null;
        if (latest !== null)
          this.send(this.channel("wishes"), JSON.stringify({ from: this.#from, ...latest }));
      });
    } else this.#waiting = wish;
  }

  onPicture(listener: (picture: PreviewPicture) => void): void {
    this.#pictureListeners.push(listener);
  }

  onNote(listener: (note: PreviewNote) => void): void {
    this.#noteListeners.push(listener);
  }

  #receive(value: unknown): void {
    const sent = sentSchema.safeParse(value).data;
    if (sent === undefined) return;
    if (sent.kind === "picture") for (const listener of this.#pictureListeners) listener(pictureOf(sent));
    else for (const listener of this.#noteListeners) listener(sent);
  }
}

/** The worker's side. */
export class RedisPreviewGiver extends RedisPreviews implements PreviewGiver {
  onWish(listener: (wish: PreviewWish) => void): void {
    void this.listen(this.channel("wishes"), (value) => {
      const wish = wishSchema.safeParse(value).data;
      if (wish !== undefined) listener(wish);
    });
  }

  sendPicture(to: string, picture: PreviewPicture): void {
    this.send(this.channel(`to:${to}`), textOfPicture(picture));
  }

  sendNote(to: string, note: PreviewNote): void {
    this.send(this.channel(`to:${to}`), textOfNote(note));
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
