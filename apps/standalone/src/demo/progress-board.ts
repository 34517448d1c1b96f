import { type JobState } from "./job-line.ts";
import { bar, describe } from "./job-line.ts";

/** Shows the progress of a set of jobs. */
export interface ProgressBoard {
  update(jobIndex: number, job: JobState): void;
  /** Prints a line that does not belong to a job. */
  print(line: string): void;
  /** Leaves the last state on the screen. */
  finish(): void;
}

export interface BoardOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** One line for each job, redrawn in place on a terminal; elsewhere a line for each meaningful change. */
export function createProgressBoard(output: BoardOutput, titles: readonly string[]): ProgressBoard {
  return output.isTTY === true ? new LiveBoard(output, titles) : new PlainBoard(output, titles);
}

const redrawEveryMs = 100;
const barWidth = 20;

class LiveBoard implements ProgressBoard {
  readonly #output: BoardOutput;
  readonly #titles: readonly string[];
  readonly #jobs = new Map<number, JobState>();
  readonly #titleWidth: number;
  #linesDrawn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(output: BoardOutput, titles: readonly string[]) {
    this.#output = output;
    this.#titles = titles;
    this.#titleWidth = Math.max(...titles.map((title) => title.length));
    this.#draw();
  }

  update(jobIndex: number, job: JobState): void {
    this.#jobs.set(jobIndex, job);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#draw();
    }, redrawEveryMs);
  }

  print(line: string): void {
    this.#output.write(`${this.#toTop()}${line}\n`);
    this.#linesDrawn = 0;
    this.#draw();
  }

  finish(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#draw();
    this.#linesDrawn = 0;
  }

  #draw(): void {
    const lines = this.#titles.map((title, index) => this.#line(title, this.#jobs.get(index)));
    this.#output.write(`${this.#toTop()}${lines.join("\n")}\n`);
    this.#linesDrawn = lines.length;
  }

  #line(title: string, job: JobState | undefined): string {
    const percent = job?.progress.percent ?? 0;
    const words = job === undefined ? "accepted" : describe(job);
    const line = `${title.padEnd(this.#titleWidth)} ${bar(percent, barWidth)} ${String(Math.floor(percent)).padStart(3)} %  ${words}`;
    return line.slice(0, (this.#output.columns ?? 100) - 1);
  }

  /** Moves to the first line of what was drawn last and clears from there. */
  #toTop(): string {
    return this.#linesDrawn === 0 ? "" : `\u001b[${this.#linesDrawn}A\u001b[J`;
  }
}

const lineEveryMs = 1_000;

class PlainBoard implements ProgressBoard {
  readonly #output: BoardOutput;
  readonly #titles: readonly string[];
  readonly #said = new Map<number, { line: string; status: string; node: string | null; atMs: number }>();
  readonly #began = performance.now();

  constructor(output: BoardOutput, titles: readonly string[]) {
    this.#output = output;
    this.#titles = titles;
  }

  update(jobIndex: number, job: JobState): void {
    const line = `${String(Math.floor(job.progress.percent)).padStart(3)} %  ${describe(job)}`;
    const said = this.#said.get(jobIndex);
    const now = performance.now();
    const isNews = said?.status !== job.status;
    if (!isNews && (said.line === line || now - said.atMs < lineEveryMs)) return;
    this.#said.set(jobIndex, { line, status: job.status, node: job.progress.node, atMs: now });
    const seconds = ((now - this.#began) / 1000).toFixed(1).padStart(5);
    this.#output.write(`${seconds} s  ${this.#titles[jobIndex] ?? ""}  ${line}\n`);
  }

  print(line: string): void {
    this.#output.write(`${line}\n`);
  }

  finish(): void {
    // Every change has been written already.
  }
}
