import {
  type DoorClients,
  type DoorMessage,
  type DoorMessageTaker,
  type DoorNote,
  type DoorPrompts,
  type EventFeed,
  isTerminal,
  type JobSignal,
  StoreUnavailableError,
} from "@genga/jobs";
import { WakeUp } from "../../jobs/wake-up.ts";
import { Audience } from "./audience.ts";
import { type ClientSocket } from "./client-socket.ts";
import { Conversations } from "./conversations.ts";
import { DueEnds } from "./due-ends.ts";
import { EndSearch } from "./end-search.ts";
import { type EndTeller } from "./end-teller.ts";
import { Greetings } from "./greetings.ts";
import { Inbox } from "./inbox.ts";
import { KnownPrompts } from "./known-prompts.ts";
import { type LivePrompt } from "./live-prompt.ts";
import { type PromptEnd } from "./prompt-end.ts";
import { QueueNews } from "./queue-news.ts";
import { ToldEnds } from "./told-ends.ts";
import { type ErrorTexts, withoutAddresses } from "./without-addresses.ts";

export interface TenantDoorParts extends ErrorTexts {
  prompts: Pick<DoorPrompts, "findByJobs">;
  clients: DoorClients;
  messages: Pick<DoorMessageTaker, "listen" | "note">;
  feed: Pick<EventFeed, "hear">;
  endTeller: Pick<EndTeller, "read" | "tell">;
  log: { warn(details: object, message: string): void; error(details: object, message: string): void };
}

/** Ends that one statement looks for. */
const endsAtOnce = 50;
/** How long the first message to a client waits for the subscription, without which later messages would be missed. */
const subscribedMs = 2_000;
/** A signal named a job that may be a prompt. */
const lookSoonMs = 200;
const restMaxMs = 10_000;
/** After an outage of the database. */
const retryMs = 1_000;

/**
 * The clients of one tenant that have sockets in this process. One loop passes on what servers say live, and what PostgreSQL has of
 * ends: so everything about a prompt comes in one order, and nothing waits for a message that was lost.
 */
export class TenantDoor {
  readonly #tenantId: string;
  readonly #with: TenantDoorParts;
  readonly #audience: Audience;
  readonly #conversations: Conversations;
  readonly #prompts: KnownPrompts;
  readonly #wakeUp = new WakeUp();
  readonly #closing = new AbortController();
  readonly #subscription: { live: Promise<void>; end: () => void };
  readonly #endHearing: () => void;
  readonly #running: Promise<void>;
  #subscribed: Promise<unknown> | undefined;
  readonly #greetings: Greetings;
  readonly #inbox = new Inbox();
  readonly #ends = new DueEnds();
  readonly #queueNews: QueueNews;
  readonly #told = new ToldEnds();
  readonly #search: EndSearch;
  /** Jobs whose ends need not be told any more. */
  #toForget: string[] = [];
  /** Prompts that hold messages back. */
  readonly #holding = new Set<LivePrompt>();

  constructor(tenantId: string, parts: TenantDoorParts) {
    this.#tenantId = tenantId;
    this.#with = parts;
    this.#greetings = new Greetings((socket) => this.#greet(socket), parts.log);
    this.#prompts = new KnownPrompts(tenantId, parts);
    this.#audience = new Audience((keyName, clientIds) =>
      parts.clients.countOpen(tenantId, keyName, clientIds),
    );
    this.#queueNews = new QueueNews(this.#audience);
    this.#conversations = new Conversations(this.#audience, {
      onEndDue: (jobId) => {
        this.#ends.tellNow(jobId);
        this.#wakeUp.wake();
      },
      isHeld: (clientId) => this.#ends.hasMissed(clientId) || this.#search.hasMore(clientId),
    });
    this.#search = new EndSearch({
      ...{ tenantId, clients: parts.clients, audience: this.#audience, prompts: this.#prompts },
      ...{ conversations: this.#conversations, ends: this.#ends, told: this.#told },
      isForgotten: (jobId) => this.#toForget.includes(jobId),
    });
    const onMissed = (): void => {
      this.#lookSoon(0);
    };
    this.#subscription = parts.messages.listen(tenantId, {
      onMessage: (message) => {
        this.#inbox.add(message);
        this.#wakeUp.wake();
      },
      onNote: (note) => {
        this.#takeNote(note);
      },
      onMissed,
    });
    this.#endHearing = parts.feed.hear(tenantId, {
      onSignal: (signal) => {
        this.#takeSignal(signal);
      },
      onMissed,
    });
    this.#running = this.#run();
  }

  /** Greets a client, and serves it from then on. */
  add(socket: ClientSocket): void {
    this.#greetings.add(socket);
    this.#wakeUp.wake();
  }

  /** The socket has closed. */
  remove(socket: ClientSocket): void {
    this.#audience.leave(socket);
    this.#greetings.remove(socket);
  }

  /** Resolves when it is noted what clients were told. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#subscription.end();
    this.#endHearing();
    this.#wakeUp.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const [{ signal }, { log }] = [this.#closing, this.#with];
    while (!signal.aborted) {
      try {
        const isBusy = await this.#work();
        if (!isBusy) await this.#wakeUp.rest(this.#restMs(), signal);
      } catch (error) {
        if (!(error instanceof StoreUnavailableError))
          log.error({ err: error }, "A message for clients of ComfyUI's protocol could not be passed on.");
        await this.#wakeUp.rest(retryMs, signal);
        this.#lookSoon(0);
      }
    }
    // The client may have closed its socket as soon as it had the end.
    await this.#forget().catch((err: unknown) => {
      log.warn({ err }, "Ends of prompts that were told could not be noted; clients may be told again.");
    });
  }

  /** One round. @returns whether there may be more to do at once */
  async #work(): Promise<boolean> {
    // A prompt is in the queue before it begins. If the database is away, the messages stay where they are.
    const seen = this.#inbox.length;
    if (this.#queueNews.at <= performance.now()) await this.#queueNews.tell();
    const messages = this.#inbox.take(seen);
    if (messages.length > 0) await this.#passOn(await withoutAddresses(messages, this.#with));
    const now = performance.now();
    this.#letGo(now);
    this.#conversations.look(now);
    this.#audience.tellQuiet(now);
    await this.#tellEnds(now);
    await this.#forget();
    await this.#greetings.greetAll();
    if (this.#search.at <= performance.now()) {
      await this.#search.look();
      this.#conversations.look(performance.now());
    }
    return this.#inbox.length + this.#greetings.length + this.#toForget.length > 0;
  }

  #restMs(): number {
    const flushes = [...this.#holding].flatMap(({ flushAt }) => flushAt ?? []);
    const looks = [this.#search.at, this.#queueNews.at, this.#conversations.lookAt, this.#audience.quietAt];
    const due = Math.min(...looks, this.#ends.nextAt, ...flushes);
    return Math.min(due - performance.now(), restMaxMs);
  }

  #letGo(now: number): void {
    for (const live of this.#holding) {
      if (live.flushAt !== null && live.flushAt > now) continue;
      this.#holding.delete(live);
      if (live.flushAt !== null) this.#conversations.say(live, live.flush());
    }
  }

  async #forget(): Promise<void> {
    // More are added meanwhile.
    const jobIds = [...this.#toForget];
    if (jobIds.length === 0) return;
    await this.#with.clients.forgetEnds(this.#tenantId, jobIds);
    this.#toForget = this.#toForget.slice(jobIds.length);
    this.#search.noteForgotten();
  }

  async #passOn(messages: readonly DoorMessage[]): Promise<void> {
    this.#search.noteLearned(await this.#prompts.learn(messages.map(({ jobId }) => jobId)));
    const starts = messages.filter((each) => each.kind === "text" && each.type === "execution_start");
    for (const { jobId } of starts) {
      this.#audience.noteUntold(jobId);
      this.#told.takeMissed(jobId);
    }
    if (starts.length > 0) await this.#queueNews.count();
    for (const message of messages) {
      const live = this.#prompts.of(message.jobId);
      if (live === null || live === undefined) continue;
      this.#conversations.say(live, live.take(message, performance.now()));
      if (live.flushAt !== null) this.#holding.add(live);
      this.#ends.noteMessage(message);
    }
  }

  async #tellEnds(now: number): Promise<void> {
    const due = this.#ends.list(now, endsAtOnce);
    if (due.length === 0) return;
    await this.#prompts.learn(due);
    const prompts = due.map((jobId) => ({ jobId, live: this.#prompts.of(jobId) ?? null }));
    const mayEnd = (live: LivePrompt): boolean =>
      this.#conversations.mayEnd(live, now - this.#ends.waitedMs(live.prompt.jobId));
    const isTurn = prompts.map(({ live }) => live !== null && mayEnd(live));
    const jobIds = prompts.flatMap(({ jobId }, index) => (isTurn[index] === true ? [jobId] : []));
    const ends = await this.#with.endTeller.read(this.#tenantId, jobIds);
    await this.#queueNews.count();
    for (const [index, { jobId, live }] of prompts.entries()) {
      const end = ends.get(jobId);
      // What came meanwhile from its server is told first, in the next round. Without an end the job runs again, and waits for nothing.
      this.#ends.noteAttempt(jobId, end?.attempt);
      if (end !== undefined && this.#inbox.has(jobId, end?.attempt)) continue;
      this.#ends.delete(jobId);
      if (live === null) continue;
      if (isTurn[index] !== true)
        this.#audience.tellEnded(live.prompt.keyName, jobId, this.#conversations.isTurnNear(live));
      else if (end === undefined) this.#conversations.skip(live);
      else this.#tellEnd(live, end);
    }
  }

  /** @param end `null` = the client is told nothing, as when its prompt was removed from the queue */
  #tellEnd(live: LivePrompt, end: PromptEnd | null): void {
    const { endTeller, log } = this.#with;
    const { jobId, clientId, keyName } = live.prompt;
    if (end === null) this.#toForget.push(jobId);
    const socket = clientId === null ? undefined : this.#audience.find(clientId);
    if (end === null || socket === undefined) {
      if (end !== null && clientId === null) this.#audience.send(live, live.end(end));
      this.#conversations.skip(live);
      // Who takes a prompt out of the queue is told at once.
      if (end === null) this.#audience.tellChange(keyName);
      else this.#audience.tellStatus([keyName]);
      this.#told.noteMissed(jobId);
      return;
    }
    if (this.#told.has(jobId, socket.id, end.attempt)) {
      this.#conversations.skip(live);
      return;
    }
    this.#told.note(jobId, socket.id, end.attempt);
    const onKnown = (isDelivered: boolean): void => {
      if (isDelivered) {
        this.#ends.noteTold(jobId);
        this.#toForget.push(jobId);
      } else this.#forgetTelling(jobId);
      this.#wakeUp.wake();
    };
    const onEnding = (): void => {
      this.#audience.noteTold(jobId);
    };
    const tellStatus = (): void => {
      if (this.#told.takeMissed(jobId)) this.#audience.tellChange(keyName);
      else this.#audience.tellStatus([keyName]);
    };
    // A client may take long for pictures, and others go on meanwhile.
    this.#conversations
      .tell(
        live,
        () => live.end(end),
        (items) => endTeller.tell(socket, live.prompt, items, { tellStatus, onEnding, onKnown }),
      )
      .catch((error: unknown) => {
        log.warn({ err: error, jobId }, "The end of a prompt could not be told yet.");
        this.#forgetTelling(jobId);
        this.#ends.retryLater(jobId);
        this.#wakeUp.wake();
      });
  }

  #forgetTelling(jobId: string): void {
    this.#told.forget(jobId);
    this.#audience.noteUntold(jobId);
  }

  /** The first message tells how many prompts wait and run; then the node of the client's prompt that runs (PROTOCOL 3). */
  async #greet(socket: ClientSocket): Promise<void> {
    const { clientId, keyName, id: socketId, openedAt } = socket;
    this.#subscribed ??= Promise.race([
      this.#subscription.live,
      new WakeUp().rest(subscribedMs, this.#closing.signal),
    ]);
    await this.#subscribed;
    await this.#queueNews.count(new Set([keyName]));
    const running = await this.#prompts.runningOf(clientId);
    if (!socket.isOpen || this.#closing.signal.aborted) return;
    this.#audience.serve(socket);
    const data = { status: this.#audience.statusOf(keyName), sid: clientId };
    socket.greet(JSON.stringify({ type: "status", data }), running);
    if (running !== null) this.#conversations.begin(running.live);
    this.#with.messages.note(this.#tenantId, { kind: "opened", clientId, socketId, openedAt });
    this.#lookSoon(0);
  }

  #takeNote(note: DoorNote): void {
    if (note.kind === "queue") this.#queueNews.note(note.addedBy);
    else if (note.kind === "read") this.#conversations.noteRead(note.clientId, note.jobId);
    else this.#audience.supersede(note.clientId, note);
    this.#wakeUp.wake();
  }

  #takeSignal(signal: JobSignal): void {
    if (signal.kind !== "event") return;
    const { jobId, status, event } = signal;
    const live = this.#prompts.of(jobId);
    // After its server was lost, for example.
    if (status === "queued" && live?.giveUp(event.attempt) === true) this.#conversations.release(live);
    if (!isTerminal(status)) return;
    if (live === undefined) this.#lookSoon(lookSoonMs);
    else if (live !== null) {
      this.#ends.expect(jobId, live, event.attempt);
      this.#wakeUp.wake();
    }
  }

  #lookSoon(inMs: number): void {
    this.#search.soon(inMs);
    this.#wakeUp.wake();
  }
}
