import { describe, expect, test } from "@jest/globals";
import { type DoorPrompt, type UntoldEnd } from "@genga/jobs";
import { DueEnds } from "./due-ends.ts";
import { LivePrompt } from "./live-prompt.ts";
import { patienceMs, Turns } from "./turns.ts";

const hourMs = 3_600_000;
const missed: UntoldEnd = { jobId: "job", clientId: "client", agoMs: hourMs, isBeforeRunning: true };
const unknown = { of: () => undefined };
const served = (id: string, openedAgoMs = 1_000) => ({
  find: () => ({ id, openedAt: Date.now() - openedAgoMs }),
});
/** What is due within this time from now. */
const dueWithin = (ends: DueEnds, ms: number): string[] => ends.list(performance.now() + ms, 10);

const promptOf = (jobId: string): DoorPrompt =>
  ({ jobId, status: "processing", attempt: 2 }) as unknown as DoorPrompt;

describe("an end that is recorded", () => {
  test("waits for what the server says of the attempt that ended, also if only an earlier one was heard of, or none", () => {
    const ends = new DueEnds();
    const [none, earlier, all] = ["none", "earlier", "all"].map((jobId) => new LivePrompt(promptOf(jobId)));
    earlier!.take({ jobId: "earlier", attempt: 1, serverPromptId: "id", kind: "ended" }, 0);
    all!.take({ jobId: "all", attempt: 2, serverPromptId: "id", kind: "ended" }, 0);
    for (const live of [none!, earlier!, all!]) ends.expect(live.prompt.jobId, live, 2);
    expect(dueWithin(ends, 0)).toEqual(["all"]);
    ends.noteMessage({ jobId: "none", attempt: 2, serverPromptId: "id", kind: "ended" });
    expect(dueWithin(ends, 0)).toEqual(["none", "all"]);
    ends.expect("earlier", earlier, 0);
    expect(dueWithin(ends, 0)).toEqual(["none", "earlier", "all"]);
  });

  test("does not wait for what the server says of a later attempt", () => {
    const ends = new DueEnds();
    const text = { serverPromptId: "id", kind: "text", type: "progress", json: "{}" } as const;
    for (const jobId of ["same", "later", "read"]) {
      ends.expect(jobId, undefined, jobId === "read" ? undefined : 1);
      ends.tellNow(jobId);
    }
    ends.noteAttempt("read", 1);
    ends.noteMessage({ ...text, jobId: "same", attempt: 1 });
    for (const jobId of ["later", "read"]) ends.noteMessage({ ...text, jobId, attempt: 2 });
    expect(dueWithin(ends, 0)).toEqual(["later", "read"]);
  });
});

describe("an end that was not told", () => {
  test("comes before what runs when its client is back, once for each socket", () => {
    const ends = new DueEnds();
    ends.expectUntold(missed, unknown, served("first"));
    expect(dueWithin(ends, 0)).toEqual(["job"]);
    expect(ends.waitedMs("job")).toBe(patienceMs);
    expect(ends.hasMissed("client")).toBe(true);
    expect(ends.hasMissed("other")).toBe(false);
    ends.delete("job");
    expect(ends.hasMissed("client")).toBe(false);
    expect(ends.isPreferred("job", "first")).toBe(true);
    // As when nothing was found to tell, or when it could not be told.
    ends.expectUntold(missed, unknown, served("first"));
    expect(ends.waitedMs("job")).toBe(0);
    expect(ends.hasMissed("client")).toBe(false);
    ends.delete("job");
    ends.expectUntold(missed, unknown, served("second"));
    expect(ends.waitedMs("job")).toBe(patienceMs);
  });

  test("comes before what runs also after a short absence: at once if its server has said everything, else after its messages", () => {
    const ends = new DueEnds();
    const prompt = { jobId: "heard", status: "processing", attempt: 1 } as unknown as DoorPrompt;
    const live = new LivePrompt(prompt);
    const about = { jobId: "heard", attempt: 1, serverPromptId: "id" };
    live.take({ ...about, kind: "text", type: "execution_start", json: "{}" }, 0);
    live.take({ ...about, kind: "ended" }, 0);
    ends.expectUntold({ ...missed, jobId: "heard", agoMs: 2_000 }, { of: () => live }, served("socket"));
    ends.expectUntold({ ...missed, agoMs: 2_000 }, unknown, served("socket"));
    ends.expectUntold({ ...missed, jobId: "after", agoMs: 900 }, unknown, served("socket"));
    expect(["heard", "job", "after"].map((jobId) => ends.waitedMs(jobId))).toEqual([
      patienceMs,
      patienceMs,
      0,
    ]);
    expect(ends.hasMissed("client")).toBe(true);
    expect(dueWithin(ends, 0)).toEqual(["heard"]);
    expect(dueWithin(ends, 500)).toEqual(["heard", "job", "after"]);
  });

  test("waits for its turn if it came while a prompt ran that still runs, if it is new, or if its prompt goes on", () => {
    const ends = new DueEnds();
    const prompt = { jobId: "heard", status: "processing", attempt: 1 } as unknown as DoorPrompt;
    const live = new LivePrompt(prompt);
    const about = { jobId: "heard", attempt: 1, serverPromptId: "id" };
    live.take({ ...about, kind: "text", type: "execution_start", json: "{}" }, 0);
    ends.expectUntold({ ...missed, isBeforeRunning: false }, unknown, served("socket"));
    ends.expectUntold({ ...missed, jobId: "new" }, unknown, served("socket", 2 * hourMs));
    ends.expectUntold({ ...missed, jobId: "heard" }, { of: () => live }, served("socket"));
    ends.expectUntold({ ...missed, jobId: "gone" }, unknown, { find: () => undefined });
    expect(ends.hasMissed("client")).toBe(false);
    for (const jobId of ["job", "new", "heard", "gone"]) expect(ends.waitedMs(jobId)).toBe(0);
    expect(dueWithin(ends, 0)).toEqual([]);
    expect(dueWithin(ends, 1_000)).toEqual(["job", "new", "heard", "gone"]);
  });

  test("that cannot be told is tried again after longer and longer, and does not come before what runs any more", () => {
    const ends = new DueEnds();
    ends.expectUntold(missed, unknown, served("socket"));
    const pauses = Array.from({ length: 8 }, () => {
      ends.delete("job");
      const now = performance.now();
      ends.retryLater("job");
      return Math.round((ends.nextAt - now) / 1_000);
    });
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    expect(ends.isPreferred("job", "socket")).toBe(false);
    ends.noteTold("job");
    const now = performance.now();
    ends.retryLater("job");
    expect(Math.round((ends.nextAt - now) / 1_000)).toBe(1);
  });

  test("that cannot be told again and again interrupts what runs after twice as long each time", () => {
    const ends = new DueEnds();
    const [running, ended] = ["running", "job"].map(
      (jobId) => new LivePrompt({ jobId, status: "processing", attempt: 1 } as unknown as DoorPrompt),
    ) as [LivePrompt, LivePrompt];
    const waits = Array.from({ length: 9 }, () => {
      const turns = new Turns({ send: () => undefined, onEndDue: () => undefined, isHeld: () => false });
      turns.say(running, [{ kind: "text", type: "execution_start", json: "{}" }]);
      expect(turns.mayEnd(ended, -ends.waitedMs("job"))).toBe(false);
      ends.retryLater("job");
      return (turns.impatientAt ?? 0) / patienceMs;
    });
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64]);
    ends.noteTold("job");
    expect(ends.waitedMs("job")).toBe(0);
  });
});
