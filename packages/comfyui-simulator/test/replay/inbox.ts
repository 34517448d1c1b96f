import { WebSocket } from "ws";

export interface Message {
  readonly text: string | undefined;
  readonly bytes: Buffer;
}

/** The messages of one socket, in order. */
export class Inbox {
  readonly socket: WebSocket;
  readonly opened: Promise<void>;
  readonly closed: Promise<void>;
  readonly #messages: Message[] = [];
  #notify: (() => void) | undefined;

  constructor(url: string) {
    this.socket = new WebSocket(url);
    this.opened = new Promise((resolve) =>
      this.socket.once("open", () => {
        resolve();
      }),
    );
    this.closed = new Promise((resolve) =>
      this.socket.once("close", () => {
        resolve();
      }),
    );
    this.socket.on("error", () => undefined);
    this.socket.on("message", (data: Buffer, isBinary: boolean) => {
      this.#messages.push({ text: isBinary ? undefined : data.toString(), bytes: data });
      this.#notify?.();
    });
  }

  async next(timeoutMs: number): Promise<Message | undefined> {
    if (this.#messages.length === 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#notify = resolve;
        timer = setTimeout(resolve, timeoutMs);
      });
      clearTimeout(timer);
      this.#notify = undefined;
    }
    return this.#messages.shift();
  }

  /** The message is returned again by the next call of `next`. */
  putBack(message: Message): void {
    this.#messages.unshift(message);
  }

  forget(): void {
    this.#messages.length = 0;
  }

  async isClosedWithin(timeoutMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        resolve(false);
      }, timeoutMs);
    });
    const isClosed = await Promise.race([this.closed.then(() => true), tooLate]);
    clearTimeout(timer);
    return isClosed;
  }

  async close(abruptly: boolean): Promise<void> {
    if (abruptly) this.socket.terminate();
    else this.socket.close();
    await this.closed;
  }
}
