import { GengaError } from "@genga/client";
import { CommanderError } from "commander";
import { exitCodes, UsageError } from "./exit-codes.ts";
import { type Terminal } from "./terminal.ts";

/** Says what went wrong, and what to do where that is known. @returns the exit code */
export function explain(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error instanceof UsageError) {
    terminal.note(`genga: ${error.message}`);
    return exitCodes.usage;
  }
  if (error instanceof GengaError) return explainRefusal(error, terminal);
  if (error instanceof DOMException && error.name === "TimeoutError") {
    terminal.note("genga: the time is over; the jobs go on.");
    return exitCodes.timeout;
  }
  terminal.note(`genga: ${error instanceof Error ? error.message : String(error)}`);
  return exitCodes.notCompleted;
}

function explainRefusal(error: GengaError, terminal: Terminal): number {
  if (terminal.isJson) {
    const { status, code, title, detail, problems } = error;
    terminal.err.write(`${JSON.stringify({ status, code, title, detail, problems })}\n`);
  } else {
    terminal.note(`genga: ${error.message}`);
    for (const { path, message } of error.problems) terminal.note(`  ${path}: ${message}`);
    const hint = hints.find(([status]) => status === error.status)?.[1];
    if (hint !== undefined) terminal.note(hint);
  }
  return error.status === 0 || error.status >= 500 ? exitCodes.away : exitCodes.refused;
}

const hints: readonly (readonly [status: number, hint: string])[] = [
  [0, "Is the API running at this address? --url, GENGA_URL or `genga login` say where it is."],
  [401, "`genga login` keeps a key; GENGA_API_KEY gives one for a single command."],
];
