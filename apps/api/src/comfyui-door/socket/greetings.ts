import { StoreUnavailableError } from "@genga/jobs";
import { type ClientSocket } from "./client-socket.ts";

/** Clients that wait for their greeting, in the order in which they came. */
export class Greetings {
  readonly #greet: (socket: ClientSocket) => Promise<void>;
  readonly #log: { error(details: object, message: string): void };
  #waiting: ClientSocket[] = [];

  constructor(
    greet: (socket: ClientSocket) => Promise<void>,
    log: { error(details: object, message: string): void },
  ) {
    this.#greet = greet;
    this.#log = log;
  }

  get length(): number {
    return this.#waiting.length;
  }

  add(socket: ClientSocket): void {
    this.#waiting.push(socket);
  }

  remove(socket: ClientSocket): void {
    this.#waiting = this.#waiting.filter((other) => other !== socket);
  }

  /**
   * Greets all. A client that cannot be greeted is cut off, so that others need not wait for it.
   * @throws StoreUnavailableError that client is the first one the next time
   */
  async greetAll(): Promise<void> {
    for (let socket = this.#waiting[0]; socket !== undefined; socket = this.#waiting[0]) {
      try {
        if (socket.isOpen) await this.#greet(socket);
      } catch (error) {
        if (error instanceof StoreUnavailableError) throw error;
        this.#log.error({ err: error }, "A client of ComfyUI's protocol could not be greeted.");
        socket.close(1011, "The client could not be greeted.");
      }
      this.remove(socket);
    }
  }
}
