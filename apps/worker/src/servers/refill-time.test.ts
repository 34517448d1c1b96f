import { expect, test } from "@jest/globals";
import { RefillTime } from "./refill-time.ts";

/** A prompt ends, and the next one is accepted. */
function refill(refills: RefillTime, endedAt: number, acceptedAt: number): void {
  const run = {};
  refills.noteEnded(endedAt);
  refills.noteTaken(run);
  refills.noteAccepted(run, acceptedAt);
}

test("the time from the end of a prompt to the next POST is a mean in which recent ones weigh more", () => {
  const refills = new RefillTime();
  expect(refills.meanMs).toBeNull();
  refill(refills, 1_000, 1_040);
  expect(refills.meanMs).toBe(40);
  refill(refills, 2_000, 2_090);
  expect(refills.meanMs).toBe(50);
});

test("each prompt takes the place of the one that ended first", () => {
  const refills = new RefillTime();
  const [first, second] = [{}, {}];
  refills.noteEnded(0);
  refills.noteEnded(10);
  refills.noteTaken(first);
  refills.noteTaken(second);
  refills.noteAccepted(second, 30);
  expect(refills.meanMs).toBe(20);
});

test("a place for which nothing waited does not count, and one that was given away does", () => {
  const refills = new RefillTime();
  const run = {};
  refills.noteEnded(0);
  refills.noteTaken(run);
  refills.noteEnded(5);
  refills.noteNothingWaited(6);
  refills.noteTaken({});
  refills.noteAccepted(run, 10);
  expect(refills.meanMs).toBe(10);
});

test("a prompt for a place that was always free says nothing, and neither does one from before a load", () => {
  const refills = new RefillTime();
  const [early, late] = [{}, {}];
  refills.noteTaken(early);
  refills.noteAccepted(early, 100);
  expect(refills.meanMs).toBeNull();
  refills.noteEnded(0);
  refills.noteTaken(late);
  refills.forget();
  refills.noteAccepted(late, 100);
  expect(refills.meanMs).toBeNull();
});
