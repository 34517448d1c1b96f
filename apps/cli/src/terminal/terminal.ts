import { type Writable } from "node:stream";
import { safeJson, safeText } from "./safe-text.ts";

/** Where a command writes. Standard output has results alone, so that they can be piped; all else goes to standard error. */
export class Terminal {
  readonly out: Writable & { isTTY?: boolean };
  readonly err: Writable & { isTTY?: boolean };
  /** Whether results are written as JSON. */
  readonly isJson: boolean;

  constructor(out: Writable, err: Writable, isJson: boolean) {
    this.out = out;
    this.err = err;
    this.isJson = isJson;
  }

  /** The result: JSON with `--json`, else lines for people, whose texts are safe already. */
  result(value: unknown, lines: () => readonly string[]): void {
    if (this.isJson) this.json(value);
    else for (const line of lines()) this.line(line);
  }

  json(value: unknown): void {
    this.line(safeJson(value));
  }

  /** Safe texts stay as they are; an id or a key may come from something else than Genga. */
  line(text: string): void {
    if (!this.out.destroyed) this.out.write(`${safeText(text)}\n`);
  }

  /** What is not a result: how far something is, warnings. */
  note(text: string): void {
    if (!this.err.destroyed) this.err.write(`${safeText(text)}\n`);
  }

  /** What went wrong: as JSON with `--json`. */
  failure(message: string, facts: object = {}): void {
    if (!this.isJson) this.note(`genga: ${message}`);
    else if (!this.err.destroyed) this.err.write(`${safeJson({ ...facts, detail: message })}\n`);
  }
}
