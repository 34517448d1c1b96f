import { appendFileSync } from "node:fs";

/** One start or end of an execution, as `GET /executions` and the log file show it. */
export interface ExecutionRecord {
  readonly promptId: string;
  readonly event: "started" | "finished";
  /** ISO 8601. */
  readonly at: string;
  readonly status?: "success" | "error";
}

const recordsMax = 100_000;

/**
 * Records each start and end of an execution, so that tests can see whether a node ran twice. The `amnesia` fault does
 * not clear it.
 */
export class ExecutionLog {
  readonly #kept: ExecutionRecord[] = [];
  readonly #file: string | undefined;

  constructor(file: string | undefined) {
    this.#file = file;
  }

  started(promptId: string): void {
    this.#add({ promptId, event: "started", at: new Date().toISOString() });
  }

  finished(promptId: string, status: "success" | "error"): void {
    this.#add({ promptId, event: "finished", at: new Date().toISOString(), status });
  }

  records(): readonly ExecutionRecord[] {
    return this.#kept;
  }

  #add(record: ExecutionRecord): void {
    this.#kept.push(record);
    if (this.#kept.length > recordsMax) this.#kept.shift();
    // Written before anything else happens, so that a kill right after it cannot lose the line.
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify(record)}\n`);
  }
}
