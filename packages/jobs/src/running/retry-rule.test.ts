import { describe, expect, test } from "@jest/globals";
import { type FailureClass, type JobFailure } from "../job/job.ts";
import { backoffMs, endAfterFailure } from "./retry-rule.ts";

const fresh = { attempt: 1, attemptsCharged: 0, attemptsMax: 1, outOfMemoryCount: 0, crashCount: 0 };
const failure = (failureClass: FailureClass): JobFailure => ({
  class: failureClass,
  code: "c",
  message: "m",
});
const quietly = { wasExecuting: false, random: 0 };
const executing = { wasExecuting: true, random: 0 };

describe("the class of an error decides about the retry", () => {
  test("an invalid job is never tried again", () => {
    expect(endAfterFailure({ ...fresh, attemptsMax: 5 }, failure("invalid"), quietly).kind).toBe("failed");
  });

  test("a job that only one server refused goes to another one, uncharged", () => {
    const refused = { ...quietly, mayRunElsewhere: true };
    expect(endAfterFailure(fresh, failure("invalid"), refused)).toMatchObject({
      kind: "requeue",
      charged: false,
      avoidServer: true,
    });
  });

  test("a passed deadline is a timeout", () => {
    expect(endAfterFailure({ ...fresh, attemptsMax: 5 }, failure("deadline"), executing).kind).toBe(
      "timeout",
    );
  });

  test("a job whose node raised an exception is tried again, charged, only while the job allows it", () => {
    expect(endAfterFailure(fresh, failure("execution"), executing).kind).toBe("failed");
    expect(endAfterFailure({ ...fresh, attemptsMax: 2 }, failure("execution"), executing)).toMatchObject({
      kind: "requeue",
      charged: true,
    });
    expect(
      endAfterFailure({ ...fresh, attemptsMax: 2, attemptsCharged: 1 }, failure("execution"), executing).kind,
    ).toBe("failed");
  });

  test("out of memory gets one more try, elsewhere, and no second one", () => {
    expect(endAfterFailure(fresh, failure("out_of_memory"), executing)).toMatchObject({
      kind: "requeue",
      charged: false,
      avoidServer: true,
      counts: "outOfMemory",
    });
    expect(endAfterFailure({ ...fresh, outOfMemoryCount: 1 }, failure("out_of_memory"), executing).kind).toBe(
      "failed",
    );
  });

  test("an attempt whose server was lost is never charged, however often that happens", () => {
    const worn = { ...fresh, attempt: 40, crashCount: 2 };
    expect(endAfterFailure(worn, failure("server"), quietly)).toMatchObject({
      kind: "requeue",
      charged: false,
    });
  });

  test("a job that was executing while three servers crashed is poison", () => {
    expect(endAfterFailure({ ...fresh, crashCount: 1 }, failure("server"), executing)).toMatchObject({
      kind: "requeue",
      counts: "crash",
    });
    expect(endAfterFailure({ ...fresh, crashCount: 2 }, failure("server"), executing)).toMatchObject({
      kind: "failed",
      failure: { code: "poison" },
    });
  });
});

describe("backoff", () => {
  test("the pause doubles from one second to a minute, half of it random", () => {
    expect([1, 2, 3, 20].map((attempt) => backoffMs(attempt, 0))).toEqual([500, 1000, 2000, 30_000]);
    expect([1, 2, 3, 20].map((attempt) => backoffMs(attempt, 1))).toEqual([1000, 2000, 4000, 60_000]);
  });
});
