import { isObject, parseBinaryFrame, parsePythonJson } from "@genga/comfyui";
import { type ClientOptions, WebSocket } from "ws";

/** A message of a server: a text, or a binary message by its type. */
export interface Heard {
  type: string;
  data: Record<string, unknown>;
  /** Of a picture. */
  bytes?: Uint8Array;
}

/** A plain client of ComfyUI's protocol. */
export class SocketClient {
  readonly heard: Heard[] = [];
  readonly socket: WebSocket;
  readonly closed: Promise<number>;
  #onNews: () => void = () => undefined;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on("close", (code) => {
        resolve(code);
        this.#onNews();
      });
    });
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      this.heard.push(isBinary ? frameOf(data) : messageOf(data));
      this.#onNews();
    });
  }

  /**
   * Connects, and waits for the greeting. @param server its URL @param options.flags the client wants previews with metadata; the other
   * options are those of `ws`
   */
  static async open(
    server: string,
    clientId: string | null,
    { flags = false, ...options }: { flags?: boolean } & ClientOptions = {},
  ): Promise<SocketClient> {
    const query = clientId === null ? "" : `?clientId=${encodeURIComponent(clientId)}`;
    const client = new SocketClient(new WebSocket(`${server.replace("http", "ws")}/ws${query}`, options));
    if (flags) {
      const message = { type: "feature_flags", data: { supports_preview_metadata: true } };
      client.socket.on("open", () => {
        client.socket.send(JSON.stringify(message));
      });
    }
    await client.until(({ type }) => type === "status");
    if (flags) await client.until(({ type }) => type === "feature_flags");
    return client;
  }

  /** The first message that fits, heard or to come; with `from`, of those from this place on. */
  async until(fits: (heard: Heard) => boolean, from = 0): Promise<Heard> {
    for (;;) {
      const found = this.heard.slice(from).find(fits);
      if (found !== undefined) return found;
      if (this.socket.readyState === WebSocket.CLOSED)
        throw new Error(`The socket closed after ${JSON.stringify(this.heard.map(nameOf)).slice(-1_000)}`);
      await new Promise<void>((resolve) => {
        this.#onNews = resolve;
      });
    }
  }

  /** The prompt has ended. @returns everything about it, and what names no prompt */
  async untilEnd(promptId: string): Promise<Heard[]> {
    const isEnd = ({ type, data }: Heard): boolean =>
      type === "executing" && data["node"] === null && data["prompt_id"] === promptId;
    await this.until(isEnd);
    return this.of(promptId);
  }

  of(promptId: string): Heard[] {
    return this.heard.filter(({ data }) => data["prompt_id"] === promptId);
  }

  async close(abruptly = false): Promise<void> {
    if (abruptly) this.socket.terminate();
    else this.socket.close();
    await this.closed;
  }
}

/** A message in short: its type, and the node that it names. */
export function nameOf({ type, data }: Heard): string {
  const node = data["node"];
  return typeof node === "string" || node === null ? `${type} ${String(node)}` : type;
}

/** Posts a prompt as clients do. @returns the id that the server has for it */
export async function postPrompt(
  server: string,
  body: { prompt: object; client_id?: string; prompt_id?: string },
  headers: Record<string, string> = {},
): Promise<string> {
  const answer = await fetch(`${server}/prompt`, { method: "POST", body: JSON.stringify(body), headers });
  const text = await answer.text();
  const accepted = parsePythonJson(text);
  if (answer.status !== 200 || !isObject(accepted)) throw new Error(`${answer.status} ${text}`);
  return String(accepted["prompt_id"]);
}

function messageOf(data: Buffer): Heard {
  const message = parsePythonJson(data.toString("utf8"));
  if (!isObject(message)) throw new Error("A message is no object.");
  return { type: String(message["type"]), data: isObject(message["data"]) ? message["data"] : {} };
}

function frameOf(data: Buffer): Heard {
  const frame = parseBinaryFrame(data);
  const type = `binary ${data.readUInt32BE(0)}`;
  if (frame?.type !== "preview") return { type, data: {} };
  const { promptId, nodeId, mediaType, bytes } = frame.preview;
  return {
    type: `${type} ${mediaType}`,
    data: {
      ...(promptId !== undefined && { prompt_id: promptId }),
      ...(nodeId !== undefined && { node: nodeId }),
    },
    bytes,
  };
}
