import { type Audience } from "./audience.ts";
import { type ClientSocket } from "./client-socket.ts";
import { type LivePrompt } from "./live-prompt.ts";
import { type Outgoing } from "./outgoing.ts";
import { Turns } from "./turns.ts";

interface Conversation {
  socket: ClientSocket;
  turns: Turns;
  /** Jobs whose ends are being told, one after another, each with its pictures. */
  telling: Set<string>;
  told: Promise<void>;
}

interface ConversationsOptions {
  /** It is the turn of this job's end. */
  onEndDue: (jobId: string) => void;
  /** Ends of this client are still to come that are told before what runs. */
  isHeld: (clientId: string) => boolean;
}

/** What the clients of a tenant hear of their prompts: each of one prompt at a time. */
export class Conversations {
  readonly #audience: Audience;
  readonly #options: ConversationsOptions;
  readonly #byClient = new Map<string, Conversation>();

  constructor(audience: Audience, options: ConversationsOptions) {
    this.#audience = audience;
    this.#options = options;
  }

  /** The client was just greeted, and told that this prompt runs. */
  begin(live: LivePrompt): void {
    this.#of(live)?.turns.begin(live);
  }

  say(live: LivePrompt, items: readonly Outgoing[]): void {
    const conversation = this.#of(live);
    // What is said of a prompt whose client has no socket still changes the queue of its key.
    if (conversation === undefined) this.#audience.send(live, items);
    else conversation.turns.say(live, items);
  }

  /** The prompt waits again. */
  release(live: LivePrompt): void {
    this.#of(live)?.turns.release(live);
  }

  /** Whether the end of this prompt, which waits since then, may be told now. What is told to nobody, or to all, waits for nothing. */
  mayEnd(live: LivePrompt, since: number): boolean {
    return this.#of(live)?.turns.mayEnd(live, since) ?? true;
  }

  /** The end is told to nobody. */
  skip(live: LivePrompt): void {
    const conversation = this.#of(live);
    if (conversation?.telling.has(live.prompt.jobId) === false) conversation.turns.finish(live);
  }

  /** Tells an end, after those that are being told. */
  async tell(
    live: LivePrompt,
    makeEnd: () => readonly Outgoing[],
    send: (items: readonly Outgoing[]) => Promise<void>,
  ): Promise<void> {
    const conversation = this.#of(live);
    if (conversation === undefined) {
      await send(makeEnd());
      return;
    }
    const { turns, telling } = conversation;
    const { jobId } = live.prompt;
    telling.add(jobId);
    const told = conversation.told.then(() => send(turns.withKept(live, makeEnd())));
    conversation.told = told
      .catch(() => undefined)
      .then(() => {
        telling.delete(jobId);
        turns.finish(live);
      });
    await told;
  }

  /** Whether the client hears of no prompt that still runs, so that the next one soon has its turn. */
  isTurnNear(live: LivePrompt): boolean {
    return this.#of(live)?.turns.isTurnNear ?? true;
  }

  /** Whether the end of this job will be told when its turn comes. */
  isWaiting(clientId: string, jobId: string): boolean {
    return this.#byClient.get(clientId)?.turns.isWaiting(jobId) ?? false;
  }

  noteRead(clientId: string, jobId: string): void {
    this.#byClient.get(clientId)?.turns.noteRead(jobId);
  }

  /** When `look` has something to do. */
  get lookAt(): number {
    const times = [...this.#byClient.values()].flatMap(({ turns }) => turns.impatientAt ?? []);
    return Math.min(Number.POSITIVE_INFINITY, ...times);
  }

  /** The prompts of which clients hear now. */
  get heardJobIds(): string[] {
    return [...this.#byClient.values()].flatMap(({ turns }) => turns.heardJobId ?? []);
  }

  /** Lets ends come first that have waited for too long, goes on when they were told, and forgets clients that are gone. */
  look(now: number): void {
    for (const [clientId, { socket, turns }] of this.#byClient) {
      if (this.#audience.find(clientId) !== socket) this.#drop(clientId, turns);
      else if (turns.impatientAt !== null && turns.impatientAt <= now) turns.interrupt();
      else turns.resume();
    }
  }

  #of({ prompt: { clientId } }: LivePrompt): Conversation | undefined {
    if (clientId === null) return undefined;
    const socket = this.#audience.find(clientId);
    const known = this.#byClient.get(clientId);
    if (known !== undefined && known.socket === socket) return known;
    if (known !== undefined) this.#drop(clientId, known.turns);
    if (socket === undefined) return undefined;
    const turns = new Turns({
      send: (live, items) => {
        this.#audience.send(live, items);
      },
      onEndDue: this.#options.onEndDue,
      isHeld: () => this.#options.isHeld(clientId),
    });
    const conversation = { socket, turns, telling: new Set<string>(), told: Promise.resolve() };
    this.#byClient.set(clientId, conversation);
    return conversation;
  }

  #drop(clientId: string, turns: Turns): void {
    turns.drop();
    this.#byClient.delete(clientId);
  }
}
