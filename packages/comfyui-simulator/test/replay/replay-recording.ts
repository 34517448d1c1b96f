import { setTimeout as delay } from "node:timers/promises";
import { JsonDecodeError, parsePythonJson, stringifyPythonJson } from "../../src/python/python-json.ts";
import {
  isDict,
  isTruthy,
  PythonFloat,
  type PythonDict,
  type PythonValue,
  pythonText,
} from "../../src/python/python-values.ts";
import { canonical, difference, Translation } from "./known-differences.ts";
import { Inbox, type Message } from "./inbox.ts";
import { formOf, rawBody } from "./recorded-bodies.ts";
import { dictAt, textAt, type RecordedEvent } from "./recording.ts";
import { trimmedLike } from "./trimmed-body.ts";

export interface ReplayOptions {
  /** What to do about a note in the recording, such as "restarted". */
  readonly onNote?: (text: string) => Promise<void>;
  readonly onCase?: (title: string, index: number) => Promise<void>;
  /** Why the case with this index is left out. */
  readonly skipCase?: (index: number) => string | undefined;
  /** Classes of output nodes: a prompt with several of them runs them in an order that is random. */
  readonly outputClasses?: ReadonlySet<string>;
  readonly silenceMs?: number;
  /** The server may be a farm: it numbers prompts by the time, and its caches hold something else than one server's. */
  readonly isFarm?: boolean;
}

/** One thing that the server said otherwise than in the recording; several may belong to one exchange. */
interface Difference {
  readonly exchange: number;
  readonly text: string;
}

/** An exchange is one reply, one message, or one closed connection. */
export interface ReplayResult {
  readonly compared: number;
  readonly differences: readonly Difference[];
  /** Number of exchanges left out, by reason. */
  readonly skipped: ReadonlyMap<string, number>;
}

/** The width and height of uploaded pictures, and how a PNG of that size begins. */
const recordedSide = 8;
const recordedHead = "89504e470d0a1a0a0000000d494844520000000800000008";

/** Shorter pauses were only the recorder's own, longer ones waited for a server to start. */
const pauseMsMin = 190;
const pauseMsMax = 4_000;

/**
 * Does what the recording's client did, in the same order, waiting for everything that it was told in between, and
 * compares what comes back.
 */
export async function replayRecording(
  url: string,
  events: readonly RecordedEvent[],
  options: ReplayOptions = {},
): Promise<ReplayResult> {
  const replay = new Replay(url, events, options);
  try {
    for (const event of events) await replay.step(event);
    return replay.result();
  } finally {
    replay.close();
  }
}

/** How long a `status` is waited for when other messages came in its place. */
const lateStatusMs = 2_000;
/** Marks that a `status` came, and only its place is another. */
const statusOrder = " [status order]";

const nothingQueued = '{"queue_running": [], "queue_pending": []}';

class Replay {
  readonly #differences: Difference[] = [];
  readonly #skipped = new Map<string, number>();
  readonly #url: string;
  readonly #options: ReplayOptions;
  readonly #translation = new Translation();
  readonly #sockets = new Map<string, Inbox>();
  readonly #replies = new Map<number, Promise<Response | Error>>();
  readonly #requests = new Map<number, PythonDict>();
  readonly #recordedReplies: ReadonlyMap<number, PythonDict>;
  readonly #unorderedPrompts: ReadonlySet<string>;
  /** The graphs of prompts that were accepted, by recorded id. */
  readonly #graphs: ReadonlyMap<string, PythonDict>;
  /** Recorded messages of a prompt with several outputs, until it ends; by socket. */
  readonly #runs = new Map<string, PythonDict[]>();
  /** The farm's caches held something else for these runs, by socket: what is told of it. */
  /** Of a farm, the `status` messages that came before what they stand behind in the recording; by socket. */
  readonly #earlyStatuses = new Map<string, Message[]>();
  /** What the last recorded `status` said; by socket. */
  readonly #lastRemaining = new Map<string, number | undefined>();
  readonly #cachedOtherwise = new Map<string, string>();
  /** The recorded ids of such prompts. */
  readonly #otherPrompts = new Map<string, string>();
  #title = "";
  #caseIndex = -1;
  #skipReason: string | undefined;
  /** Whether the server may still be saying what nobody waited for. */
  #isBusy = false;
  /** Whether something has been waited for in vain. */
  #isSilent = false;
  #compared = 0;
  #before = 0;

  constructor(url: string, events: readonly RecordedEvent[], options: ReplayOptions) {
    this.#url = url;
    this.#options = options;
    this.#recordedReplies = new Map(
      events
        .filter(({ kind }) => kind === "http_response")
        .map(({ fields }) => [Number(fields.get("n")), fields]),
    );
    this.#graphs = graphsOf(events);
    this.#unorderedPrompts = promptsWithSeveralOutputs(this.#graphs, options.outputClasses ?? new Set());
  }

  result(): ReplayResult {
    this.#noteLeftStatuses();
    return { compared: this.#compared, differences: this.#differences, skipped: this.#skipped };
  }

  close(): void {
    for (const inbox of this.#sockets.values()) inbox.socket.terminate();
  }

  async step(event: RecordedEvent): Promise<void> {
    if (event.kind === "case") await this.#beginCase(textAt(event.fields, "text"));
    else if (this.#skipReason !== undefined) await this.#passOver(event, this.#skipReason);
    else await this.#perform(event);
  }

  async #beginCase(title: string): Promise<void> {
    this.#title = title;
    this.#caseIndex++;
    const wasSkipped = this.#skipReason !== undefined;
    await this.#options.onCase?.(title, this.#caseIndex);
    if (this.#isBusy) await this.#waitUntilIdle();
    this.#skipReason = this.#options.skipCase?.(this.#caseIndex);
    if (wasSkipped && this.#skipReason === undefined) this.#translation.forgetNumbers();
  }

  /** Waits until the queue is empty, then forgets what the sockets were told. */
  async #waitUntilIdle(): Promise<void> {
    for (let attempt = 0; attempt < 50; attempt++) {
      const reply = await fetch(`${this.#url}/prompt`).then(
        (response) => response.text(),
        () => "",
      );
      if (/"queue_remaining": ?0\b/.test(reply)) break;
      await delay(100);
    }
    await delay(100);
    for (const inbox of this.#sockets.values()) inbox.forget();
    this.#noteLeftStatuses();
    this.#isBusy = false;
    this.#isSilent = false;
  }

  #noteLeftStatuses(): void {
    for (const [name, { length }] of this.#earlyStatuses)
      if (length > 0) this.#differ(`${name} was told ${length} statuses too much`);
    this.#earlyStatuses.clear();
  }

  /** In a case that is left out, sockets are opened and closed all the same: later cases may use them. */
  async #passOver(event: RecordedEvent, reason: string): Promise<void> {
    const { kind, fields } = event;
    this.#before = timeOf(fields);
    this.#isBusy = true;
    if (kind === "ws_connect" || kind === "ws_open") await this.#perform(event);
    else if (kind === "ws_closed") await this.#inbox(textAt(fields, "ws")).close(true);
    else if (kind === "ws_recv" || kind === "http_response" || kind === "http_error")
      this.#passOverOne(reason);
  }

  #passOverOne(reason: string): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
  }

  async #perform({ kind, fields }: RecordedEvent): Promise<void> {
    const name = textAt(fields, "ws");
    await this.#keepPause(kind, fields);
    switch (kind) {
      case "note":
        await this.#options.onNote?.(this.#translation.text(textAt(fields, "text")));
        // Connections to a server that has just been stopped must be seen to have ended.
        await delay(20);
        return;
      case "ws_connect":
        this.#sockets.set(name, new Inbox(this.#url.replace("http", "ws") + textAt(fields, "path")));
        return;
      case "ws_open":
        await this.#inbox(name).opened;
        return;
      case "ws_send":
        this.#sendMessage(this.#inbox(name), fields.get("msg") ?? null);
        return;
      case "ws_recv":
        await this.#receive(name, fields.get("msg") ?? null);
        return;
      case "ws_closed":
        if (textAt(fields, "by") === "client") {
          await this.#inbox(name).close(fields.get("closeCode") === 1006);
          return;
        }
        this.#compared++;
        if (!(await this.#inbox(name).isClosedWithin(this.#silenceMs))) this.#differ(`${name} stayed open`);
        return;
      case "http_request":
        await this.#untilEnded(fields);
        this.#request(fields);
        return;
      case "http_response":
        await this.#response(fields);
        return;
      case "http_error":
        this.#compared++;
        if (!((await this.#replies.get(Number(fields.get("n")))) instanceof Error))
          this.#differ("a reply came");
        return;
    }
  }

  /** Of pictures that are uploaded: farms take none that are as small as the recorded ones. */
  get #uploadSide(): number {
    return this.#options.isFarm === true ? 16 : recordedSide;
  }

  get #silenceMs(): number {
    return this.#isSilent ? 100 : (this.#options.silenceMs ?? 8_000);
  }

  /** Where the recording's client waited before it did something, so does the replay. */
  async #keepPause(kind: string, fields: PythonDict): Promise<void> {
    const now = timeOf(fields);
    const pause = now - this.#before;
    this.#before = now;
    const isOwnDoing = kind !== "ws_recv" && kind !== "http_response" && kind !== "ws_open";
    if (isOwnDoing && pause > pauseMsMin && pause < pauseMsMax) await delay(pause);
  }

  /**
   * Some clients without a socket asked until a prompt had ended, or until none was left, and only the last answer was
   * recorded.
   */
  async #untilEnded(request: PythonDict): Promise<void> {
    const path = textAt(request, "path");
    const promptId = /^\/history\/(.{36})$/.exec(path)?.[1];
    const reply = this.#recordedReplies.get(Number(request.get("n"))) ?? new Map<string, PythonValue>();
    const body = reply.get("body") ?? reply.get("trimmedBody") ?? null;
    const isIdle = path === "/queue" && stringifyPythonJson(body) === nothingQueued;
    if (isIdle && this.#sockets.size === 0) await this.#waitUntilIdle();
    if (promptId === undefined || !isDict(body) || body.size === 0) return;
    for (let attempt = 0; attempt < 200; attempt++) {
      const text = await fetch(this.#url + this.#translation.text(path)).then((found) => found.text());
      if (text.trim() !== "{}") return;
      await delay(50);
    }
  }

  #inbox(name: string): Inbox {
    const inbox = this.#sockets.get(name);
    if (!inbox) throw new Error(`no socket ${name}`);
    return inbox;
  }

  /** @param mark says of a difference that another one is its cause */
  #differ(text: string, mark = ""): void {
    this.#differences.push({ exchange: this.#compared, text: `${this.#title}: ${text}${mark}` });
  }

  /** Notes that a run found other results in the cache, after which its messages cannot be in the recorded order. */
  #noteCache(name: string, recorded: PythonDict, actual: PythonDict): string | undefined {
    if (this.#options.isFarm !== true) return undefined;
    if (![recorded, actual].every((message) => textAt(message, "type") === "execution_cached"))
      return undefined;
    const [before, now] = [nodesIn(recorded), nodesIn(actual)];
    const promptId = textAt(dictAt(recorded, "data"), "prompt_id");
    const outputs = this.#outputNodesOf(promptId);
    const isSame = before.length === now.length && before.every((node) => now.includes(node));
    if (isSame) return undefined;
    const savesAgain =
      now.every((node) => before.includes(node)) &&
      before.every((node) => now.includes(node) || outputs.has(pythonText(node)));
    const mark = savesAgain ? " [saves again]" : " [cached otherwise]";
    this.#cachedOtherwise.set(name, mark);
    this.#otherPrompts.set(promptId, mark);
    return mark;
  }

  #outputNodesOf(promptId: string): Set<string> {
    const classes = this.#options.outputClasses ?? new Set();
    const graph = this.#graphs.get(promptId) ?? new Map<string, PythonValue>();
    return new Set(
      [...graph].flatMap(([id, node]) =>
        isDict(node) && classes.has(textAt(node, "class_type")) ? [id] : [],
      ),
    );
  }

  #sendMessage(inbox: Inbox, message: PythonValue): void {
    if (isDict(message) && message.get("binary") === true)
      inbox.socket.send(Buffer.alloc(Number(message.get("byteLength"))));
    else if (isDict(message) && message.has("length"))
      inbox.socket.send("x".repeat(Number(message.get("length"))));
    else inbox.socket.send(typeof message === "string" ? message : stringifyPythonJson(message));
  }

  async #receive(name: string, recorded: PythonValue): Promise<void> {
    const expected = isDict(recorded) ? recorded : new Map<string, PythonValue>();
    const before = this.#differences.length;
    if (!(await this.#receiveUnordered(name, expected))) await this.#receiveNext(name, expected, recorded);
    const isOff = this.#differences.slice(before).some(({ text }) => !text.endsWith(statusOrder));
    // What is said of features begins no prompt.
    if (isOff && textAt(expected, "type") !== "feature_flags") this.#isBusy = true;
  }

  async #receiveNext(name: string, expected: PythonDict, recorded: PythonValue): Promise<void> {
    this.#compared++;
    const message = await this.#nextLike(name, expected);
    if (message === "no status") return;
    if (message === undefined) {
      this.#isSilent = true;
      this.#differ(`${name} got nothing instead of ${stringifyPythonJson(recorded).slice(0, 150)}`);
      return;
    }
    if (expected.get("binary") === true) {
      this.#compareFrame(expected, message);
      return;
    }
    if (expected.has("notStrictJson")) {
      this.#compareLooseJson(`${name} message`, textAt(expected, "notStrictJson"), message.bytes);
      return;
    }
    if (message.text === undefined) {
      this.#differ(`${name} got a binary message instead of ${textAt(expected, "type")}`);
      return;
    }
    const actual = parsePythonJson(message.text);
    if (isDict(actual)) this.#learn(expected, actual);
    const found = difference(canonical(recorded, this.#translation), canonical(actual));
    const mark = isDict(actual) ? this.#noteCache(name, expected, actual) : undefined;
    if (mark !== undefined) this.#runs.set(name, []);
    if (found)
      this.#differ(
        `${name} message ${textAt(expected, "type")}${found} (${message.text.slice(0, 120)})`,
        mark,
      );
  }

  /**
   * The next message to compare with a recorded one. A `status` that comes earlier or later than in the recording is one
   * difference, and the messages after it are still compared with those that they belong to.
   */
  async #nextLike(name: string, expected: PythonDict): Promise<Message | "no status" | undefined> {
    if (this.#options.isFarm === true) return await this.#nextOfFarm(name, expected);
    for (;;) {
      const message = await this.#inbox(name).next(this.#silenceMs);
      if (message === undefined || isStatus(expected) === isStatusMessage(message)) return message;
      const shown = message.text?.slice(0, 120) ?? "a binary message";
      if (isStatus(expected)) {
        this.#inbox(name).putBack(message);
        this.#differ(`${name} message status did not come before ${shown}`);
        return "no status";
      }
      this.#differ(`${name} message status came before ${textAt(expected, "type")} (${shown})`);
    }
  }

  /**
   * A farm tells its counts beside what its servers say. So each `status` is compared with the recorded one that it stands for, and that it
   * came earlier or later than that is a difference of its own.
   */
  async #nextOfFarm(name: string, expected: PythonDict): Promise<Message | "no status" | undefined> {
    const inbox = this.#inbox(name);
    const early = this.#earlyStatuses.get(name) ?? [];
    this.#earlyStatuses.set(name, early);
    const others: Message[] = [];
    const isRepeated = isStatus(expected) && remainingIn(expected) === this.#lastRemaining.get(name);
    if (isStatus(expected)) this.#lastRemaining.set(name, remainingIn(expected));
    const isOther = ({ text }: Message): boolean =>
      isRepeated && remainingIn(parsePythonJson(text ?? "null")) !== remainingIn(expected);
    const notRepeated = (): "no status" => {
      this.#differ(`${name} message status was not repeated`, statusOrder);
      return "no status";
    };
    if (isStatus(expected) && early[0] !== undefined && isOther(early[0])) return notRepeated();
    const known = isStatus(expected) ? early.shift() : undefined;
    if (known !== undefined) {
      this.#differ(`${name} message status came early`, statusOrder);
      return known;
    }
    for (;;) {
      const message = await inbox.next(others.length === 0 ? this.#silenceMs : lateStatusMs);
      const isFound = message === undefined || isStatusMessage(message) === isStatus(expected);
      if (!isFound) (isStatus(expected) ? others : early).push(message);
      if (!isFound) continue;
      const isNext = message !== undefined && isStatus(expected) && isOther(message);
      for (const other of [...others, ...(isNext ? [message] : [])].reverse()) inbox.putBack(other);
      if (isNext) return notRepeated();
      if (others.length === 0) return message;
      const order = message === undefined ? "did not come" : "came late";
      this.#differ(`${name} message status ${order}`, message === undefined ? "" : statusOrder);
      return message ?? "no status";
    }
  }

  /**
   * The messages of a prompt with several outputs are compared when it has ended: in their order, or else as a set, in
   * which progress counts but not what had been done before. @returns whether the message belongs to such a prompt
   */
  async #receiveUnordered(name: string, recorded: PythonDict): Promise<boolean> {
    const data = dictAt(recorded, "data");
    const isStart = textAt(recorded, "type") === "execution_start";
    if (isStart && this.#unorderedPrompts.has(textAt(data, "prompt_id"))) this.#runs.set(name, []);
    const run = this.#runs.get(name);
    if (run === undefined) return false;
    run.push(recorded);
    if (!isEnd(recorded)) return true;
    this.#runs.delete(name);
    const actual: PythonDict[] = [];
    const early = this.#earlyStatuses.get(name) ?? [];
    while (!actual.some(isEnd)) {
      const message = early.shift() ?? (await this.#inbox(name).next(this.#silenceMs));
      if (message === undefined) break;
      const parsed = message.text === undefined ? frameOf(message.bytes) : parsePythonJson(message.text);
      if (isDict(parsed)) actual.push(parsed);
    }
    for (const message of run) {
      const twin = actual.find((other) => sameNode(message, other));
      if (twin) this.#learn(message, twin);
    }
    for (const message of run) {
      const twin = actual.find((other) => sameNode(message, other));
      if (twin && textAt(message, "type") === "execution_cached") this.#noteCache(name, message, twin);
    }
    const mark = this.#cachedOtherwise.get(name);
    this.#cachedOtherwise.delete(name);
    const left = actual.map((message) => JSON.stringify(canonical(withoutProgress(message))));
    for (const message of run) {
      this.#compared++;
      const text = JSON.stringify(canonical(withoutProgress(message), this.#translation));
      const place = left.indexOf(text);
      if (place === -1) this.#differ(`${name} was not told in any order: ${text.slice(0, 150)}`, mark);
      else left.splice(place, 1);
    }
    if (left.length > 0) this.#differ(`${name} was told too much: ${String(left[0]).slice(0, 150)}`, mark);
    return true;
  }

  #learn(recorded: PythonDict, actual: PythonDict): void {
    const [from, to] = [dictAt(recorded, "data"), dictAt(actual, "data")];
    const [fromId, toId] = [from.get("prompt_id"), to.get("prompt_id")];
    if (typeof fromId === "string" && typeof toId === "string" && fromId.length > 30) {
      this.#translation.learnText(fromId, toId);
    }
    this.#translation.learnFiles(from.get("output") ?? null, to.get("output") ?? null);
  }

  #compareFrame(recorded: PythonDict, { bytes, text }: Message): void {
    if (text !== undefined) {
      this.#differ(`text instead of binary: ${text.slice(0, 120)}`);
      return;
    }
    const type = bytes.readUInt32BE(0);
    if (type !== recorded.get("eventType")) this.#differ(`binary type ${type}`);
    if (type === 1 && bytes.readUInt32BE(4) !== recorded.get("imageFormat")) this.#differ("image format");
    let image = bytes.subarray(8);
    if (type === 4) {
      const length = bytes.readUInt32BE(4);
      const metadata = parsePythonJson(bytes.subarray(8, 8 + length).toString());
      const found = difference(
        canonical(recorded.get("metadata") ?? null, this.#translation),
        canonical(metadata),
      );
      if (found) this.#differ(`preview metadata ${found}`);
      image = bytes.subarray(8 + length);
    }
    const magic = textAt(recorded, "imageMagicHex");
    if (magic !== "" && image.subarray(0, 8).toString("hex") !== magic) {
      this.#differ(`image begins with ${image.subarray(0, 8).toString("hex")}`);
    }
    if (type === 3) {
      const length = bytes.readUInt32BE(4);
      const shown = bytes.subarray(8 + length).toString();
      if (shown !== textAt(recorded, "text")) this.#differ(`node text ${shown}`);
    }
  }

  #request(fields: PythonDict): void {
    const number = Number(fields.get("n"));
    this.#requests.set(number, fields);
    const headers = Object.fromEntries(
      [...dictAt(fields, "headers")].map(([key, value]) => [key, this.#headerValue(key, pythonText(value))]),
    );
    const body = fields.has("body")
      ? this.#translation.text(stringifyPythonJson(fields.get("body") ?? null))
      : rawBody(fields.get("rawBody"));
    const given = dictAt(fields, "body").get("number");
    if (given !== undefined) this.#translation.learnGivenNumber(given);
    const multipart = fields.get("multipart");
    const init: RequestInit = { method: textAt(fields, "method"), headers };
    if (isDict(multipart ?? null)) init.body = formOf(multipart as PythonDict, this.#uploadSide);
    else if (typeof body === "string" && init.method !== "GET") init.body = body;
    const path = this.#translation.text(textAt(fields, "path"));
    this.#replies.set(
      number,
      fetch(this.#url + path, init).catch((error: unknown) =>
        error instanceof Error ? error : new Error(String(error)),
      ),
    );
  }

  #headerValue(key: string, value: string): string {
    if (key === "Origin")
      return value.replace(/^http:\/\/127\.0\.0\.1:(8188|17000)$/, new URL(this.#url).origin);
    if (key === "If-None-Match") return this.#translation.text(value);
    return value;
  }

  async #response(fields: PythonDict): Promise<void> {
    const number = Number(fields.get("n"));
    const reply = await this.#replies.get(number);
    if (reply === undefined) throw new Error(`request ${number} was never made`);
    this.#compared++;
    const request = this.#requests.get(number) ?? new Map<string, PythonValue>();
    const where = `${textAt(request, "method")} ${textAt(request, "path")}`;
    if (reply instanceof Error) {
      this.#differ(`${where} failed: ${reply.message}`);
      return;
    }
    if (this.#options.isFarm === true && fields.get("status") === 500 && reply.status < 500) {
      this.#differ(`${where} status 500 became ${reply.status}`);
      await reply.arrayBuffer();
      return;
    }
    if (reply.status !== fields.get("status")) this.#differ(`${where} status ${reply.status}`);
    const bytes = Buffer.from(await reply.arrayBuffer());
    this.#compareHeaders(where, dictAt(fields, "headers"), reply);
    if (fields.has("text")) {
      if (bytes.toString() !== textAt(fields, "text"))
        this.#differ(`${where} text ${bytes.toString().slice(0, 200)}`);
    } else if (fields.has("bin")) this.#compareFile(where, dictAt(fields, "bin"), bytes);
    else if (isTruthy(fields.get("emptyBody"))) {
      if (bytes.length > 0) this.#differ(`${where} has a body`);
    } else if (fields.has("trimmedBody")) {
      this.#compareJson(where, fields.get("trimmedBody") ?? null, bytes, true);
    } else if (fields.has("notStrictJson")) {
      this.#compareLooseJson(where, textAt(fields, "notStrictJson"), bytes);
    } else this.#compareJson(where, fields.get("body") ?? null, bytes);
  }

  /** What only Python calls JSON; the recorder may have cut the text off. */
  #compareLooseJson(where: string, recorded: string, bytes: Buffer): void {
    if (isStrictJson(bytes.toString())) this.#differ(`${where} is strict JSON`);
    try {
      this.#compareJson(where, parsePythonJson(recorded), bytes);
    } catch (error) {
      if (!(error instanceof JsonDecodeError)) throw error;
    }
  }

  #compareJson(where: string, recorded: PythonValue, bytes: Buffer, isTrimmed = false): void {
    let actual: PythonValue;
    try {
      actual = parsePythonJson(bytes.toString());
    } catch {
      this.#differ(`${where} is no JSON: ${bytes.toString().slice(0, 100)}`);
      return;
    }
    if (isDict(recorded) && isDict(actual)) {
      const [from, to] = [recorded.get("prompt_id"), actual.get("prompt_id")];
      if (typeof from === "string" && typeof to === "string") {
        if (from.length > 30) this.#translation.learnText(from, to);
        const isOwn = this.#options.isFarm === true;
        this.#translation.learnNumber(recorded.get("number") ?? null, actual.get("number") ?? null, isOwn);
      }
    }
    if (where.includes("/history") && isDict(recorded) && isDict(actual)) {
      const outputs = (history: PythonDict): PythonValue[] =>
        [...history.values()].map((entry) => (isDict(entry) ? (entry.get("outputs") ?? null) : null));
      this.#translation.learnFiles(outputs(recorded), outputs(actual), true);
    }
    const compared = isTrimmed ? trimmedLike(recorded, actual, (key) => this.#translation.text(key)) : actual;
    const found = difference(canonical(recorded, this.#translation), canonical(compared));
    const other = [...this.#otherPrompts].find(([id]) => where.includes("/history/") && where.endsWith(id));
    if (found) this.#differ(`${where} body${found}`, other?.[1]);
  }

  #compareHeaders(where: string, recorded: PythonDict, reply: Response): void {
    for (const name of [
      "content-type",
      "content-disposition",
      "accept-ranges",
      "content-range",
      "allow",
      "connection",
    ]) {
      // How many bytes a picture has depends on who compressed it.
      const total = /\/\d+$/;
      const actual = reply.headers.get(name)?.replace(total, "/*") ?? null;
      const found = recorded.get(name);
      const expected =
        typeof found === "string" && name === "content-range" ? found.replace(total, "/*") : found;
      if (
        expected === undefined
          ? actual !== null && name !== "connection"
          : this.#translation.text(pythonText(expected)) !== actual
      ) {
        this.#differ(`${where} header ${name}: ${pythonText(expected ?? null)} became ${String(actual)}`);
      }
    }
    const etag = recorded.get("etag");
    if (typeof etag === "string") this.#translation.learnText(etag, reply.headers.get("etag") ?? "none");
  }

  /** Pictures must have the recorded size and kind, other files the recorded beginning. */
  #compareFile(where: string, recorded: PythonDict, bytes: Buffer): void {
    const head = textAt(recorded, "headHex");
    // The size of a picture stands behind its first 16 bytes.
    const isLarger = this.#uploadSide > recordedSide && head.startsWith(recordedHead);
    const digits = isLarger ? 32 : head.startsWith("89504e47") ? 52 : 8;
    const length = head.startsWith("000000") ? 24 : digits;
    const actual = bytes.subarray(0, 32).toString("hex");
    const compare = (text: string): string =>
      head.startsWith("000000") ? text.slice(8, length) : text.slice(0, length);
    if (compare(actual) !== compare(head))
      this.#differ(`${where} begins with ${actual.slice(0, 64)} not ${head}`);
  }
}

function isStrictJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function timeOf(fields: PythonDict): number {
  const at = fields.get("t");
  return at instanceof PythonFloat ? at.value : Number(at);
}

/** The graphs of the prompts that were accepted, by recorded id. */
function graphsOf(events: readonly RecordedEvent[]): Map<string, PythonDict> {
  const requests = new Map<number, PythonDict>();
  const graphs = new Map<string, PythonDict>();
  for (const { kind, fields } of events) {
    const number = Number(fields.get("n"));
    if (kind === "http_request") requests.set(number, dictAt(dictAt(fields, "body"), "prompt"));
    const graph = requests.get(number);
    const promptId = textAt(dictAt(fields, "body"), "prompt_id");
    if (kind === "http_response" && graph !== undefined && promptId !== "") graphs.set(promptId, graph);
  }
  return graphs;
}

/** The recorded ids of prompts whose graphs have more than one output node. */
function promptsWithSeveralOutputs(
  graphs: ReadonlyMap<string, PythonDict>,
  outputClasses: ReadonlySet<string>,
): Set<string> {
  const isOutput = (node: PythonValue): boolean =>
    isDict(node) && outputClasses.has(textAt(node, "class_type"));
  return new Set(
    [...graphs].flatMap(([id, graph]) => ([...graph.values()].filter(isOutput).length > 1 ? [id] : [])),
  );
}

function nodesIn(message: PythonDict): PythonValue[] {
  const nodes = dictAt(message, "data").get("nodes");
  return Array.isArray(nodes) ? nodes : [];
}

function isEnd(message: PythonDict): boolean {
  return textAt(message, "type") === "executing" && dictAt(message, "data").get("node") === null;
}

function isStatus(message: PythonDict): boolean {
  return textAt(message, "type") === "status";
}

/** How many prompts a `status` says are left. */
function remainingIn(message: PythonValue): number | undefined {
  if (!isDict(message)) return undefined;
  const info = dictAt(dictAt(dictAt(message, "data"), "status"), "exec_info");
  const remaining = info.get("queue_remaining");
  return typeof remaining === "number" ? remaining : undefined;
}

function isStatusMessage({ text }: Message): boolean {
  if (text === undefined) return false;
  const message = parsePythonJson(text);
  return isDict(message) && isStatus(message);
}

function sameNode(a: PythonDict, b: PythonDict): boolean {
  const same = (key: string): boolean => textAt(dictAt(a, "data"), key) === textAt(dictAt(b, "data"), key);
  return textAt(a, "type") === textAt(b, "type") && same("node");
}

function frameOf(bytes: Buffer): PythonDict {
  return new Map<string, PythonValue>([
    ["binary", true],
    ["eventType", bytes.readUInt32BE(0)],
  ]);
}

function withoutProgress(message: PythonDict): PythonDict {
  if (message.get("binary") === true) return new Map([["eventType", message.get("eventType") ?? null]]);
  return textAt(message, "type") === "progress_state" ? new Map([["type", "progress_state"]]) : message;
}
