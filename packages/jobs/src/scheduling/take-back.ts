import { type WaitingPrompt } from "../ports/take-backs.ts";

/** What the choice of a prompt needs to know of the server that stands empty. */
export interface EmptyServer {
  id: string;
  loadedModel: string | null;
}

/** Jobs that run for less than this are short: another server gains little by them. */
const shortRunMs = 1_000;
/** By so much sooner a short job must begin. */
const shortGainMs = 5_000;
/** A take-back must gain this many times what it costs. */
const costFactor = 2;

/**
 * The waiting prompts that the empty server should ask for, best first: those of the most urgent band, then those for
 * which it loads nothing, then those that would begin so much sooner. Of several prompts that wait on one server, that is
 * the last one.
 * @param costMs how long a take-back usually takes, from the request to the claim
 */
export function takeBacksFor(
  server: EmptyServer,
  prompts: readonly WaitingPrompt[],
  costMs: number,
): WaitingPrompt[] {
  const gains = prompts.flatMap((prompt) => {
    const gain = gainOf(server, prompt, costMs);
    return gain === null ? [] : [{ prompt, ...gain }];
  });
  gains.sort(
    (one, other) =>
      one.prompt.band - other.prompt.band ||
      Number(one.loads) - Number(other.loads) ||
      compare(other.gainMs, one.gainMs) ||
      compare(one.prompt.jobId, other.prompt.jobId),
  );
  return gains.map(({ prompt }) => prompt);
}

/**
 * By how much sooner the job would begin on the empty server, what it must load included; `null` = it should stay where it
 * is. If it is not known how long it would wait there, it should begin here, as long as nothing must be loaded for it. It never
 * goes where an attempt of it has failed.
 */
function gainOf(
  server: EmptyServer,
  { triedServerIds, mainModel, loadMs, aheadMs, runMs }: WaitingPrompt,
  costMs: number,
): { gainMs: number; loads: boolean } | null {
  if (triedServerIds.includes(server.id)) return null;
  const loads = mainModel !== null && mainModel !== server.loadedModel;
  if (aheadMs === null) return loads ? null : { gainMs: Infinity, loads };
  if (loads && loadMs === null) return null;
  const gainMs = aheadMs - (loads ? (loadMs ?? 0) : 0);
  const isShort = runMs !== null && runMs < shortRunMs;
  return gainMs >= (isShort ? shortGainMs : costFactor * costMs) ? { gainMs, loads } : null;
}

function compare<Value>(one: Value, other: Value): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
