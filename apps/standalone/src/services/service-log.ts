import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

/** A log line of one of our services; pino's levels are written by name. */
const lineSchema = z.looseObject({
  level: z.string(),
  msg: z.string().default(""),
  err: z.looseObject({ message: z.string() }).optional(),
});

const levelsForPeople = new Set(["warn", "error", "fatal"]);
const repeatAfterMs = 30_000;
const shortLengthMax = 240;
const bytesMax = 20 * 1024 * 1024;

/**
 * Writes all output of a service to a file, and passes on in short form the lines that a person should see: warnings,
 * errors, and lines that are not log lines, such as an error in the configuration.
 */
export class ServiceLog {
  readonly path: string;
  readonly #name: string;
  readonly #report: (line: string) => void;
  /** When each short line was passed on last, so that a lasting problem is not repeated every second. */
  readonly #said = new Map<string, number>();

  constructor(folder: string, name: string, report: (line: string) => void) {
    mkdirSync(folder, { recursive: true });
    this.#name = name;
    this.#report = report;
    this.path = join(folder, `${name}.log`);
    if ((statSync(this.path, { throwIfNoEntry: false })?.size ?? 0) > bytesMax) {
      renameSync(this.path, `${this.path}.old`);
    }
  }

  /** @param isQuiet writes the line only to the file */
  add(line: string, isQuiet = false): void {
    appendFileSync(this.path, `${line}\n`);
    if (isQuiet) return;
    const short = forPeople(line);
    if (short === undefined || this.#wasJustSaid(short)) return;
    this.#report(`${this.#name}: ${short}`);
  }

  #wasJustSaid(short: string): boolean {
    const now = performance.now();
    for (const [line, atMs] of this.#said) if (now - atMs > repeatAfterMs) this.#said.delete(line);
    const wasSaid = this.#said.has(short);
    if (!wasSaid) this.#said.set(short, now);
    return wasSaid;
  }
}

/** The short form of a log line for a person, on one line; undefined if the line is not shown. */
export function forPeople(line: string): string | undefined {
  if (!line.startsWith("{")) return line.trim() === "" ? undefined : line;
  const parsed = lineSchema.safeParse(tryParse(line));
  if (!parsed.success) return line;
  const { level, msg, err } = parsed.data;
  if (!levelsForPeople.has(level)) return undefined;
  const cause = err === undefined || err.message === msg ? "" : `: ${err.message}`;
  const short = `${level}: ${msg}${cause}`.replaceAll(/\s+/g, " ");
  return short.length > shortLengthMax ? `${short.slice(0, shortLengthMax)}…` : short;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
