import { type DoorMessage, type DoorPrompt, isTerminal } from "@genga/jobs";
import { type Outgoing } from "./outgoing.ts";
import { type PromptEnd } from "./prompt-end.ts";

/** Something that can be sent only when the outputs are stored. */
type Withheld =
  | { kind: "made-files"; node: string; displayNode: string }
  | { kind: "pictures"; node: string; displayNode: string };

/**
 * After a message that must wait for the end, others wait as well for this time, because the end usually follows at once: so the
 * client gets all of them in the server's order. Then progress goes on, and what must wait is told at the end.
 */
export const heldMs = 1_000;
const heldMax = 2_000;
/** Bytes of previews among them; others are dropped. */
const heldBytesMax = 1024 * 1024;

/**
 * One prompt as its client is told of it: what its server says live becomes what a single server would say. The names of files are
 * known only when they are stored, and a retry may follow an end on a server; so messages that name files, and the end, are made of
 * the recorded end. Pure, except for what it remembers.
 */
export class LivePrompt {
  readonly prompt: DoorPrompt;
  #attempt = 0;
  /** The attempt of which the end was told; late messages about it are dropped. */
  #endedAttempt: number;
  /** The client knows of this attempt. */
  #isStarted = false;
  #currentNode: string | null = null;
  /** Since when messages wait for the end; `null` = they do not. */
  #heldSince: number | null = null;
  #held: (Outgoing | Withheld)[] = [];
  #heldBytes = 0;
  #isLate = false;
  #hasServerEnded = false;
  /** Nodes of which the client was told what they made, while the prompt ran. */
  readonly #told = new Set<string>();

  /** @param options.isEndTold the client needs to hear no more of this attempt */
  constructor(prompt: DoorPrompt, { isEndTold = false } = {}) {
    this.prompt = prompt;
    this.#endedAttempt = isEndTold ? prompt.attempt : -1;
  }

  /** It had ended when it was first heard of, and the client is yet to be told of what its server said and of the end. */
  get hadEnded(): boolean {
    return isTerminal(this.prompt.status) && this.#endedAttempt < this.prompt.attempt;
  }

  get currentNode(): string | null {
    return this.#currentNode;
  }

  /** Its server was heard of, and has more to say. */
  get isHeard(): boolean {
    return this.#isStarted && !this.#hasServerEnded;
  }

  /** The server has said everything of this attempt. */
  get hasServerEnded(): boolean {
    return this.#hasServerEnded;
  }

  /** The server has said everything, so the recorded end may be told as soon as it is there. */
  hasHeardAll(attempt: number): boolean {
    return attempt < this.#attempt || (attempt === this.#attempt && this.#hasServerEnded);
  }

  /** When held messages should be let go; `null` = none are, or the end is near. */
  get flushAt(): number | null {
    return this.#heldSince === null || this.#hasServerEnded ? null : this.#heldSince + heldMs;
  }

  /** @returns what is to be sent now */
  take(message: DoorMessage, now: number): Outgoing[] {
    if (message.attempt < this.#attempt || message.attempt <= this.#endedAttempt) return [];
    if (message.attempt > this.#attempt) this.#begin(message.attempt);
    if (message.kind === "ended") {
      this.#hasServerEnded = true;
      this.#currentNode = null;
      return [];
    }
    const item = this.#itemOf(message);
    if (item === null) return [];
    const mustWait = item.kind === "made-files" || item.kind === "pictures";
    if (mustWait && this.#heldSince === null && !this.#isLate) this.#heldSince = now;
    if (this.#heldSince === null && !mustWait) return [item];
    const bytes = item.kind === "frame" ? item.frame.byteLength : 0;
    if (this.#heldBytes + bytes > heldBytesMax || this.#held.length >= heldMax) return [];
    this.#heldBytes += bytes;
    this.#held.push(item);
    return [];
  }

  /**
   * This attempt is over, and the job waits for another one; what is still said of it is not told.
   * @returns false if a later attempt was heard of
   */
  giveUp(attempt: number): boolean {
    if (attempt < this.#attempt) return false;
    this.#endedAttempt = Math.max(this.#endedAttempt, attempt);
    this.#currentNode = null;
    this.#held = [];
    this.#heldBytes = 0;
    this.#heldSince = null;
    return true;
  }

  /** Lets go what need not wait for the end. */
  flush(): Outgoing[] {
    const free: Outgoing[] = [];
    const kept: (Outgoing | Withheld)[] = [];
    for (const item of this.#held) {
      if (item.kind === "text" || item.kind === "frame") free.push(item);
      else kept.push(item);
    }
    this.#held = kept;
    this.#heldBytes = 0;
    this.#heldSince = null;
    this.#isLate = true;
    return free;
  }

  /**
   * The prompt has ended: all that its client was not told live, up to the message that says how it ended. Called again for a
   * client that has come back, or could not be told, it has everything again but the progress.
   */
  end(end: PromptEnd): Outgoing[] {
    if (this.#attempt !== end.attempt) this.#begin(end.attempt);
    const before = this.#isStarted ? [] : end.beginning;
    const told = new Set(this.#told);
    const held = this.#held.flatMap((item): Outgoing[] => {
      if (item.kind !== "made-files" && item.kind !== "pictures") return [item];
      told.add(item.node);
      const executed = this.#executed(item.node, item.displayNode, end);
      return item.kind === "made-files" ? executed : [item, ...executed];
    });
    this.#held = this.#held.filter(({ kind }) => kind === "made-files" || kind === "pictures");
    this.#heldBytes = 0;
    this.#heldSince = null;
    this.#endedAttempt = end.attempt;
    const { socketNodes } = this.prompt;
    const missed = [...end.outputs.keys()].flatMap((node) =>
      told.has(node) || socketNodes.includes(node) ? [] : this.#executed(node, end.displayNodeOf(node), end),
    );
    const pictures = socketNodes.flatMap((node): Outgoing[] =>
      told.has(node)
        ? []
        : [
            { kind: "pictures", node, displayNode: node },
            ...this.#executed(node, end.displayNodeOf(node), end),
          ],
    );
    this.#currentNode = null;
    return [...before, ...held, ...missed, ...pictures, ...end.ending];
  }

  /** The client was not told what was taken so far, so the end tells all of it. */
  forget(): void {
    this.#isStarted = false;
    this.#told.clear();
  }

  /** What a client is told that does not know yet, or not any more, that this prompt runs. */
  beginAnew(): Outgoing[] {
    this.#isStarted = true;
    const { promptId } = this.prompt;
    const about = { prompt_id: promptId, timestamp: Date.now() };
    const start: Outgoing = {
      ...{ kind: "text", type: "execution_start" },
      json: JSON.stringify({ type: "execution_start", data: about }),
    };
    const node = this.#currentNode;
    if (node === null) return [start];
    const json = JSON.stringify({
      type: "executing",
      data: { node, display_node: node, prompt_id: promptId },
    });
    return [start, { kind: "text", type: "executing", node, json }];
  }

  #begin(attempt: number): void {
    this.#attempt = attempt;
    this.#isStarted = false;
    this.#currentNode = null;
    this.#held = [];
    this.#heldBytes = 0;
    this.#heldSince = null;
    this.#isLate = false;
    this.#hasServerEnded = false;
    this.#told.clear();
  }

  #itemOf(message: Exclude<DoorMessage, { kind: "ended" }>): Outgoing | Withheld | null {
    const { socketNodes } = this.prompt;
    switch (message.kind) {
      case "frame":
        return {
          ...{ kind: "frame", frame: message.frame, serverPromptId: message.serverPromptId },
          node: this.#currentNode,
        };
      case "made-files": {
        const { node } = message;
        if (socketNodes.includes(node)) return null;
        return { kind: "made-files", node, displayNode: message.displayNode ?? node };
      }
      case "text": {
        const { type, node } = message;
        if (type === "execution_start") this.#isStarted = true;
        if (type === "executing" && node !== undefined) this.#currentNode = node;
        if (type === "executed" && typeof node === "string") this.#told.add(node);
        // A client takes pictures for those of the node that was named last.
        if (type === "executing" && typeof node === "string" && socketNodes.includes(node))
          return { kind: "pictures", node, displayNode: node };
        const json = withAlias(message.json, message.serverPromptId, this.prompt.promptId);
        return { kind: "text", type, ...(node !== undefined && { node }), json };
      }
    }
  }

  #executed(node: string, displayNode: string, end: PromptEnd): Outgoing[] {
    const output = end.outputs.get(node);
    if (output === undefined) return [];
    const [shownNode, promptId] = [displayNode, this.prompt.promptId].map((text) => JSON.stringify(text));
    const json = `{"type":"executed","data":{"node":${JSON.stringify(node)},"display_node":${shownNode},"output":${output},"prompt_id":${promptId}}}`;
    return [{ kind: "text", type: "executed", node, json }];
  }
}

/** The same message with the client's name of the prompt. */
export function withAlias(json: string, serverPromptId: string, alias: string): string {
  const said = JSON.stringify(alias);
  return json.replaceAll(`"${serverPromptId}"`, () => said);
}
