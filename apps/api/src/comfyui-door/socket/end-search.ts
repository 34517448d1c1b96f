import { type DoorClients, type UntoldEnd } from "@genga/jobs";
import { type Audience } from "./audience.ts";
import { type Conversations } from "./conversations.ts";
import { type DueEnds } from "./due-ends.ts";
import { type KnownPrompts } from "./known-prompts.ts";
import { type LivePrompt } from "./live-prompt.ts";
import { type ToldEnds } from "./told-ends.ts";

/**
 * Ends that one statement looks for: each client has an equal share of them, and at least so many, because those that cannot be told
 * stand before the newer ones.
 */
const pageMax = 500;
const ofClientMin = 100;
/** How often ends are looked for that no signal told: often while there are some. */
const everyMs = { min: 500, max: 10_000 };

/** Answers of clients come one after another, and a page costs as much after each of them. */
const nextPageMs = 100;

interface EndSearchParts {
  tenantId: string;
  clients: Pick<DoorClients, "listUntold">;
  audience: Pick<Audience, "clientIds" | "find">;
  prompts: Pick<KnownPrompts, "of">;
  conversations: Pick<Conversations, "heardJobIds" | "isWaiting">;
  ends: DueEnds;
  told: ToldEnds;
  /** The client has this end, which is yet to be noted. */
  isForgotten: (jobId: string) => boolean;
}

/** Looks for ends that no signal told: of clients that come back, of jobs that were ended while Redis was away. */
export class EndSearch {
  readonly #with: EndSearchParts;
  #at = Number.POSITIVE_INFINITY;
  #everyMs = everyMs.max;
  #isPageFull = false;
  /** Clients that may have more ends that are told before what runs. */
  #withMore: ReadonlySet<string> = new Set();

  constructor(parts: EndSearchParts) {
    this.#with = parts;
  }

  /** When to look. */
  get at(): number {
    return this.#at;
  }

  soon(inMs: number): void {
    this.#at = Math.min(this.#at, performance.now() + inMs);
  }

  /** These prompts were just read. If one has ended, the signal of its end came while it was not known whether its job is a prompt. */
  noteLearned(learned: readonly LivePrompt[]): void {
    if (learned.some(({ hadEnded }) => hadEnded)) this.soon(0);
  }

  /** Ends were forgotten that clients were told, so those that did not fit into one page come next. */
  noteForgotten(): void {
    if (this.#isPageFull) this.soon(nextPageMs);
  }

  /** Whether this client may have more ends, which are told before what runs. */
  hasMore(clientId: string): boolean {
    return this.#withMore.has(clientId);
  }

  async look(): Promise<void> {
    const { tenantId, clients, audience, prompts, conversations, ends, told, isForgotten } = this.#with;
    const { clientIds } = audience;
    this.#at = performance.now() + this.#everyMs;
    if (clientIds.length === 0) return;
    const asked = { clientIds, heardJobIds: conversations.heardJobIds };
    const ofEachMax = Math.max(Math.floor(pageMax / clientIds.length), ofClientMin);
    const untold = await clients.listUntold(tenantId, asked, ofEachMax);
    const news = untold.filter(({ jobId, clientId }) => {
      const wasTold = told.has(jobId, audience.find(clientId)?.id);
      const isDue = ends.has(jobId) || conversations.isWaiting(clientId, jobId);
      return !wasTold && !isDue && !isForgotten(jobId);
    });
    for (const end of news) ends.expectUntold(end, prompts, audience);
    this.#everyMs = news.length > 0 ? everyMs.min : Math.min(this.#everyMs * 2, everyMs.max);
    this.#at = performance.now() + this.#everyMs;
    const byClient = new Map<string, UntoldEnd[]>();
    for (const end of untold) {
      const ofClient = byClient.get(end.clientId);
      if (ofClient === undefined) byClient.set(end.clientId, [end]);
      else ofClient.push(end);
    }
    const full = [...byClient.values()].filter((ofClient) => ofClient.length >= ofEachMax);
    this.#isPageFull = full.length > 0;
    const preferred = full
      .flat()
      .filter(({ jobId, clientId }) => ends.isPreferred(jobId, audience.find(clientId)?.id));
    this.#withMore = new Set(preferred.map(({ clientId }) => clientId));
  }
}
