import { defaultLane, type LaneMeasure, type LaneServing, StoreUnavailableError } from "@genga/jobs";
import { type RunTimes } from "./run-timing.ts";

/** Whose execution was measured. */
type Measured = Pick<LaneMeasure, "lane" | "tenantId">;

/**
 * Collects how long executions and loads took, and adds them to the lanes and tenants with one statement per flush. An execution
 * for which the server loaded a model counts as a load of `leadMs` and a run of the rest.
 */
export class LaneMeasures {
  readonly #serving: Pick<LaneServing, "addMeasures">;
  #pending = new Map<string, LaneMeasure>();

  constructor(serving: Pick<LaneServing, "addMeasures">) {
    this.#serving = serving;
  }

  /** @param hadToLoad whether the server had to load the model first; `null` = not known */
  note(of: Measured, { totalMs, leadMs }: RunTimes, hadToLoad: boolean | null): void {
    if (of.lane === defaultLane) return;
    if (hadToLoad === false) {
      this.#add(of, { runs: 1, runMs: totalMs, loads: 0, loadMs: 0 });
    } else if (hadToLoad === true && leadMs !== null) {
      this.#add(of, { runs: 1, runMs: totalMs - leadMs, loads: 1, loadMs: leadMs });
    }
  }

  /** If the database is unavailable, the measurements are kept for the next flush. */
  async flush(): Promise<void> {
    if (this.#pending.size === 0) return;
    const pending = this.#pending;
    this.#pending = new Map();
    try {
      await this.#serving.addMeasures([...pending.values()]);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      for (const measure of pending.values()) this.#add(measure, measure);
    }
  }

  #add({ lane, tenantId }: Measured, more: Omit<LaneMeasure, keyof Measured>): void {
    const key = `${tenantId} ${lane}`;
    const known = this.#pending.get(key) ?? { runs: 0, runMs: 0, loads: 0, loadMs: 0 };
    this.#pending.set(key, {
      ...{ lane, tenantId },
      ...{ runs: known.runs + more.runs, runMs: mean(known.runMs, known.runs, more.runMs, more.runs) },
      ...{
        loads: known.loads + more.loads,
        loadMs: mean(known.loadMs, known.loads, more.loadMs, more.loads),
      },
    });
  }
}

function mean(one: number, ones: number, other: number, others: number): number {
  return ones + others === 0 ? 0 : (one * ones + other * others) / (ones + others);
}
