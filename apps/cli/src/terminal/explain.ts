import { GengaError } from "@genga/client";
import { CommanderError } from "commander";
import { exitCodes, ForeignAnswerError, UsageError } from "./exit-codes.ts";
import { type Terminal } from "./terminal.ts";

/** Says what went wrong, and what to do where that is known. @returns the exit code */
export function explain(error: unknown, terminal: Terminal): number {
  // Its message has been written already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error instanceof GengaError) return explainRefusal(error, terminal);
  if (error instanceof UsageError) {
    terminal.failure(error.message);
    return exitCodes.usage;
  }
  if (error instanceof DOMException && error.name === "TimeoutError") {
    terminal.failure("the time is over; the jobs go on.");
    return exitCodes.timeout;
  }
  if (error instanceof SyntaxError || error instanceof ForeignAnswerError) {
    terminal.failure("the answer is none of Genga's API. Does the address lead to it?");
    return exitCodes.away;
  }
  terminal.failure(error instanceof Error ? error.message : String(error));
  return exitCodes.notCompleted;
}

function explainRefusal(error: GengaError, terminal: Terminal): number {
  const { status, code, title, problems } = error;
  terminal.failure(error.message, { status, code, title, problems });
  if (!terminal.isJson) {
    for (const { path, message } of problems) terminal.note(`  ${path}: ${message}`);
    const hint = hints.find(([of]) => of === status)?.[1];
    if (hint !== undefined) terminal.note(hint);
  }
  if (code === "content-mismatch") return exitCodes.notCompleted;
  const isAway = [0, 408, 429].includes(status) || status >= 500 || code === "unexpected-answer";
  return isAway ? exitCodes.away : exitCodes.refused;
}

/** Whether something was removed, or never was. */
export function isGone(error: unknown): error is GengaError {
  return error instanceof GengaError && (error.status === 404 || error.status === 410);
}

const hints: readonly (readonly [status: number, hint: string])[] = [
  [0, "Is the API running at this address? --url, GENGA_URL or `genga login` say where it is."],
  [401, "`genga login` keeps a key; GENGA_API_KEY gives one for a single command."],
];
