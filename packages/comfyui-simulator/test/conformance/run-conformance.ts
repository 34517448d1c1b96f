import { type ReplayOptions, type ReplayResult, replayRecording } from "../replay/replay-recording.ts";
import { knownReason, type TargetName } from "./exceptions.ts";
import { leftoverOf, run } from "./leftover.ts";
import { casesOf, eventsOf, type RecordedCase, type Recording } from "./recordings.ts";

/** A server that recordings are replayed against. */
export interface Target {
  readonly name: TargetName;
  /** How long to wait for a message before it counts as missing. */
  readonly silenceMs: number;
  /** Brings the server into the state in which a recording began. @returns where it is */
  prepare(recording: Recording): Promise<string>;
  /** Does what a note says was done to the server, such as a restart. */
  onNote(text: string): Promise<void>;
  onCase(recording: Recording, title: string, index: number): Promise<void>;
  /** Why a case cannot be replayed here. */
  skipCase(recording: Recording, recorded: RecordedCase): string | undefined;
  stop(): Promise<void>;
}

/** What the replay of one recording came to; every number counts exchanges: replies, messages, closed connections. */
export interface Outcome {
  readonly recording: string;
  readonly compared: number;
  readonly equal: number;
  /** Reason → number of exchanges that differ for it. */
  readonly known: ReadonlyMap<string, number>;
  readonly skipped: ReadonlyMap<string, number>;
  readonly unexplained: number;
  readonly unexplainedTexts: readonly string[];
  /** What differed in an earlier replay of the same recording, and not in this one. */
  readonly chanceTexts: readonly string[];
}

const replaysMax = 3;

/**
 * Replays one recording, and where something differs that nobody explained, once or twice more. Recordings hold races, such as a cancel
 * against the next step, and a busy machine decides them otherwise; a server that behaves differently does so in each replay.
 */
export async function replaySteadily(
  target: Target,
  recording: Recording,
  options: Pick<ReplayOptions, "silenceMs"> = {},
): Promise<Outcome> {
  const chanceTexts: string[] = [];
  for (let replays = 1; ; replays += 1) {
    const outcome = await replayAgainst(target, recording, options);
    if (outcome.unexplained === 0 || replays === replaysMax) return { ...outcome, chanceTexts };
    chanceTexts.push(...outcome.unexplainedTexts);
  }
}

/** Replays one recording against the target and sorts what differs into explained and unexplained. */
async function replayAgainst(
  target: Target,
  recording: Recording,
  options: Pick<ReplayOptions, "silenceMs"> = {},
): Promise<Omit<Outcome, "chanceTexts">> {
  const url = await target.prepare(recording);
  const events = eventsOf(recording);
  const cases = casesOf(events);
  const leftover = leftoverOf(events);
  const [firstCase] = cases;
  if (leftover && firstCase && target.skipCase(recording, firstCase) === undefined) await run(url, leftover);
  const result = await replayRecording(url, events, {
    silenceMs: target.silenceMs,
    ...options,
    isFarm: target.name === "door" || target.name === "door of three",
    outputClasses: await outputClassesOf(url),
    onNote: (text) => target.onNote(text),
    onCase: (title, index) => target.onCase(recording, title, index),
    skipCase: (index) => {
      const recorded = cases[index];
      return recorded ? target.skipCase(recording, recorded) : undefined;
    },
  });
  return outcomeOf(recording.name, target.name, result);
}

function outcomeOf(
  recording: string,
  target: TargetName,
  result: ReplayResult,
): Omit<Outcome, "chanceTexts"> {
  const reasons = new Map<number, string | undefined>();
  const unexplainedTexts: string[] = [];
  for (const { exchange, text } of result.differences) {
    const reason = knownReason(target, recording, text);
    if (reason === undefined) unexplainedTexts.push(text);
    reasons.set(exchange, reasons.has(exchange) && !reasons.get(exchange) ? undefined : reason);
  }
  const known = new Map<string, number>();
  for (const reason of reasons.values()) {
    if (reason !== undefined) known.set(reason, (known.get(reason) ?? 0) + 1);
  }
  return {
    recording,
    compared: result.compared,
    equal: result.compared - reasons.size,
    known,
    skipped: result.skipped,
    unexplained: [...reasons.values()].filter((reason) => reason === undefined).length,
    unexplainedTexts,
  };
}

async function outputClassesOf(url: string): Promise<Set<string>> {
  const reply = await fetch(`${url}/object_info`);
  const classes = (await reply.json()) as Record<string, { readonly output_node?: boolean }>;
  return new Set(Object.keys(classes).filter((name) => classes[name]?.output_node === true));
}

/** The table that ends a run: counts for each recording, then every reason with its count. */
export function report(outcomes: readonly Outcome[]): string {
  const row = (name: string, some: readonly Outcome[]): string =>
    [
      name.padEnd(32),
      ...[
        sum(some.map(({ compared }) => compared)),
        sum(some.map(({ equal }) => equal)),
        sum(some.flatMap(({ known }) => [...known.values()])),
        sum(some.map(({ unexplained }) => unexplained)),
        sum(some.flatMap(({ skipped }) => [...skipped.values()])),
      ].map((count) => String(count).padStart(11)),
    ].join("");
  return [
    `${"exchanges".padEnd(32)}   compared      equal  explained  differing    skipped`,
    ...outcomes.map((outcome) => row(outcome.recording, [outcome])),
    row("together", outcomes),
    ...reasonLines(
      "differs, explained",
      outcomes.map(({ known }) => known),
    ),
    ...reasonLines(
      "skipped",
      outcomes.map(({ skipped }) => skipped),
    ),
    ...outcomes.flatMap(({ recording, unexplainedTexts, chanceTexts }) => [
      ...unexplainedTexts.map((text) => `DIFFERS  ${recording}: ${text}`),
      ...chanceTexts.map((text) => `differed in an earlier replay of it  ${recording}: ${text}`),
    ]),
  ].join("\n");
}

function reasonLines(label: string, counts: readonly ReadonlyMap<string, number>[]): string[] {
  const total = new Map<string, number>();
  for (const [reason, count] of counts.flatMap((some) => [...some])) {
    total.set(reason, (total.get(reason) ?? 0) + count);
  }
  return [...total].map(([reason, count]) => `${label}, ${count} exchanges: ${reason}`);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
