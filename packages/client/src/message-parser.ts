/** A message of a stream of server-sent events. */
export interface Message {
  readonly name: string;
  readonly data: string;
  /** By this the stream is resumed after the message; `undefined` = no message had an id yet. */
  readonly lastId: string | undefined;
}

/** A message that grows beyond this ends the stream. */
const messageCharactersMax = 16 * 1024 * 1024;

/**
 * Reads server-sent events as the HTML standard has it. An id without data counts: by it the API tells a quiet client where
 * it stands (libraries drop it). What is not read yet is bounded.
 */
export class MessageParser {
  /** The id to resume with. */
  lastId: string | undefined;
  /** How long the server asks to wait before the next connection. */
  retryMs: number | undefined;
  #rest = "";
  #name = "";
  #id: string | undefined;
  #data: string[] = [];
  #characters = 0;
  #isFirst = true;

  /** @param lastId where the stream was resumed */
  constructor(lastId: string | undefined) {
    this.lastId = lastId;
    this.#id = lastId;
  }

  /**
   * @returns the messages that the text completes; after each, `lastId` of the parser is that of the last one
   * @throws Error when a message is too large
   */
  read(text: string): Message[] {
    const messages: Message[] = [];
    const all = this.#rest + (this.#isFirst ? text.replace(/^\uFEFF/, "") : text);
    if (text !== "") this.#isFirst = false;
    // A \r at the end may be half of a line end.
    const held = all.endsWith("\r") ? 1 : 0;
    const lines = all.slice(0, all.length - held).split(/\r\n|\r|\n/);
    this.#rest = (lines.pop() ?? "") + all.slice(all.length - held);
    for (const line of lines) {
      if (line === "") this.#complete(messages);
      else this.#readLine(line);
    }
    if (this.#characters + this.#rest.length > messageCharactersMax) {
      throw new Error(`A message of the stream has more than ${messageCharactersMax} characters.`);
    }
    return messages;
  }

  /** Only now the id counts: a message that was cut off was not received. */
  #complete(messages: Message[]): void {
    this.lastId = this.#id;
    if (this.#data.length > 0) {
      messages.push({ name: this.#name || "message", data: this.#data.join("\n"), lastId: this.lastId });
    }
    this.#name = "";
    this.#data = [];
    this.#characters = 0;
  }

  /** A line without a colon is a field without a value; one that begins with it is a comment. */
  #readLine(line: string): void {
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.#name = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    else if (field === "data") {
      this.#data.push(value);
      this.#characters += value.length;
    }
  }
}
