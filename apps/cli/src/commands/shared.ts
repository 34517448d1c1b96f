import { Option } from "commander";
import { type CommandContext, type Surroundings } from "../command-context.ts";
import { follow } from "../following/follow.ts";
import { doingText, isBatch, isCompleted, labelOf } from "../following/states.ts";
import { exitCodes, UsageError } from "../terminal/exit-codes.ts";
import { durationMs } from "../terminal/times.ts";

/** An option that may be given several times. */
export function repeatable(flags: string, description: string): Option {
  return new Option(flags, `${description} (repeatable)`).argParser(
    (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
  );
}

/** Node's timers take no longer ones. */
const timeoutMaxMs = 20 * 24 * 3_600_000;

/** @returns milliseconds @throws UsageError */
export function timeoutOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = durationMs(text);
  if (ms === undefined || ms > timeoutMaxMs)
    throw new UsageError(`--timeout ${text}: write it as 90s, 15m or 2h, up to 480h.`);
  return ms;
}

/** Watches to the end, and ends the program with 1 unless everything has completed. */
export async function watchAndExit(
  ids: readonly string[],
  timeoutMs: number | undefined,
  context: CommandContext,
  surroundings: Surroundings,
): Promise<void> {
  const { terminal } = context;
  const ended = await follow(ids, context, timeoutMs);
  const others = ended.filter((state) => !isCompleted(state));
  for (const state of others) {
    const next = isBatch(state) ? "genga batch show" : "genga show";
    terminal.note(`${labelOf(state)}  ${doingText(state)}  (${next} ${state.id})`);
  }
  if (others.length > 0) surroundings.exitWith(exitCodes.notCompleted);
}

/** A number of an option. @throws UsageError */
export function countOf(option: string, text: string, max: number): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= max) return count;
  throw new UsageError(`${option} ${text}: write a number from 1 to ${max}.`);
}
