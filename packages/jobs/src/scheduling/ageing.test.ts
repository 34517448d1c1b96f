import { expect, test } from "@jest/globals";
import { jobPriorities } from "../job/job.ts";
import { agedBandsMax, jobThatAges } from "./ageing.ts";

const now = 10_000_000;
const ageingMs = 600_000;
const job = (
  id: string,
  waitedMs: number,
  fields: { priority?: "normal" | "low"; agedBands?: number } = {},
) => ({
  id,
  priority: fields.priority ?? "low",
  agedBands: fields.agedBands ?? 0,
  inBandSinceMs: now - waitedMs,
});

test("only the job that has waited longest moves up", () => {
  const jobs = [job("b", 700_000), job("a", 900_000), job("c", 800_000)];
  expect(jobThatAges(jobs, null, now, ageingMs)?.id).toBe("a");
});

test("no job moves up before it has waited for the time, nor before the time has passed since the last one did", () => {
  expect(jobThatAges([job("a", 599_999)], null, now, ageingMs)).toBeNull();
  expect(jobThatAges([job("a", 900_000)], now - 599_999, now, ageingMs)).toBeNull();
  expect(jobThatAges([job("a", 900_000)], now - 600_000, now, ageingMs)?.id).toBe("a");
});

test("no job moves into the most urgent band", () => {
  expect(jobPriorities.map(agedBandsMax)).toEqual([0, 0, 1, 2]);
  expect(jobThatAges([job("a", 900_000, { agedBands: 2 })], null, now, ageingMs)).toBeNull();
  expect(
    jobThatAges([job("a", 900_000, { priority: "normal", agedBands: 1 })], null, now, ageingMs),
  ).toBeNull();
});

test("a job that can move no further does not stand in the way of the next one", () => {
  const jobs = [job("a", 900_000, { agedBands: 2 }), job("b", 800_000, { agedBands: 1 })];
  expect(jobThatAges(jobs, null, now, ageingMs)?.id).toBe("b");
});
