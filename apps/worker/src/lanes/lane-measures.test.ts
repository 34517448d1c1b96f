import { expect, test } from "@jest/globals";
import { type LaneMeasure, StoreUnavailableError } from "@genga/jobs";
import { LaneMeasures } from "./lane-measures.ts";

/** Keeps what is added, unless the database is away. */
class Serving {
  isAway = false;
  readonly added: (readonly LaneMeasure[])[] = [];

  async addMeasures(measures: readonly LaneMeasure[]): Promise<void> {
    if (this.isAway) throw new StoreUnavailableError(undefined);
    this.added.push(measures);
    await Promise.resolve();
  }
}

const one = { lane: "shared", tenantId: "one" };
const other = { lane: "shared", tenantId: "other" };

test("runs and loads are added for each tenant and lane, with one statement, also after an outage", async () => {
  const serving = new Serving();
  const measures = new LaneMeasures(serving);
  measures.note(one, { totalMs: 1_000, leadMs: null }, false);
  measures.note(other, { totalMs: 50_000, leadMs: 8_000 }, true);
  serving.isAway = true;
  await measures.flush();
  serving.isAway = false;
  measures.note(one, { totalMs: 3_000, leadMs: 100 }, false);
  measures.note({ ...one, lane: "default" }, { totalMs: 7, leadMs: null }, false);
  measures.note(one, { totalMs: 9_000, leadMs: 2_000 }, null);
  await measures.flush();
  await measures.flush();
  expect(serving.added).toEqual([
    [
      { ...one, runs: 2, runMs: 2_000, loads: 0, loadMs: 0 },
      { ...other, runs: 1, runMs: 42_000, loads: 1, loadMs: 8_000 },
    ],
  ]);
});
