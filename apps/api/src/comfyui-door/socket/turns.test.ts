import { describe, expect, test } from "@jest/globals";
import { type DoorPrompt } from "@genga/jobs";
import { LivePrompt } from "./live-prompt.ts";
import { type Outgoing } from "./outgoing.ts";
import { patienceMs, Turns } from "./turns.ts";

const promptOf = (jobId: string): LivePrompt =>
  new LivePrompt({
    ...{ jobId, promptId: jobId, status: "processing", attempt: 1, clientId: "client", socketNodes: [] },
  } as unknown as DoorPrompt);
const text = (type: string, node?: string, json = "{}"): Outgoing => ({
  ...{ kind: "text", type, json },
  ...(node !== undefined && { node }),
});
const frame: Outgoing = { kind: "frame", frame: new Uint8Array(9), serverPromptId: "id", node: null };

function listening() {
  const [heard, due]: [string[], string[]] = [[], []];
  const note = (live: LivePrompt, items: readonly Outgoing[]): void => {
    for (const item of items)
      heard.push(`${live.prompt.jobId} ${item.kind === "text" ? item.type : item.kind}`);
  };
  const held = { isHeld: false };
  const turns = new Turns({ send: note, onEndDue: (jobId) => due.push(jobId), isHeld: () => held.isHeld });
  /** Tells the end of a prompt, as far as it is its turn. */
  const end = (live: LivePrompt, now = 0): boolean => {
    if (!turns.mayEnd(live, now)) return false;
    note(live, turns.withKept(live, [text("execution_start"), text("ended")]));
    turns.finish(live);
    return true;
  };
  return { turns, heard, due, end, held };
}

describe("a client with several prompts that run", () => {
  test("hears of one after another, and of the waiting ones what is not progress", () => {
    const { turns, heard, due, end } = listening();
    const [one, two, three] = [promptOf("one"), promptOf("two"), promptOf("three")];
    turns.say(one, [text("execution_start"), text("executing", "1")]);
    turns.say(two, [text("execution_start"), text("progress"), frame, text("progress_state")]);
    turns.say(three, [text("execution_start")]);
    turns.say(two, [text("executing", "1"), text("progress_state")]);
    turns.say(one, [text("progress"), frame]);
    expect(end(two)).toBe(false);
    expect(turns.isWaiting("two")).toBe(true);
    expect(heard).toEqual(["one execution_start", "one executing", "one progress", "one frame"]);
    heard.length = 0;
    expect(end(one)).toBe(true);
    // An end that waits comes before what runs.
    expect(due).toEqual(["two"]);
    turns.say(three, [text("executing", "1")]);
    expect(heard).toEqual(["one ended"]);
    expect(end(two)).toBe(true);
    turns.say(three, [text("progress")]);
    expect(heard).toEqual([
      ...["one ended", "two execution_start", "two executing", "two progress_state", "two ended"],
      ...["three execution_start", "three executing", "three progress"],
    ]);
    expect(end(three)).toBe(true);
    expect(turns.isWaiting("three")).toBe(false);
  });

  test("hears all of the next one that begins while the first is only being stored", () => {
    const { turns, heard, end } = listening();
    const [one, two] = [promptOf("one"), promptOf("two")];
    turns.say(one, [text("execution_start")]);
    one.take({ jobId: "one", attempt: 1, serverPromptId: "id", kind: "ended" }, 0);
    turns.say(two, [text("execution_start"), text("progress_state"), text("progress"), frame]);
    turns.say(two, [text("progress_state"), text("executing", "2")]);
    expect(heard).toEqual(["one execution_start"]);
    end(one);
    expect(heard.slice(2)).toEqual([
      ...["two execution_start", "two progress_state", "two progress", "two frame"],
      ...["two progress_state", "two executing"],
    ]);
  });

  test("hears ends that have waited for too long, and the prompt that ran is begun anew after them", () => {
    const { turns, heard, due, end } = listening();
    const [long, short] = [promptOf("long"), promptOf("short")];
    turns.say(long, [text("execution_start")]);
    expect(end(short, 100)).toBe(false);
    expect(turns.impatientAt).toBe(100 + patienceMs);
    turns.interrupt();
    expect(due).toEqual(["short"]);
    turns.say(long, [text("executing", "2")]);
    expect(turns.impatientAt).toBeNull();
    expect(end(short)).toBe(true);
    turns.say(long, [text("progress")]);
    expect(heard).toEqual([
      ...["long execution_start", "short execution_start", "short ended"],
      ...["long execution_start", "long progress"],
    ]);
  });

  test("does not wait for an end that it has read in the history", () => {
    const { turns, end } = listening();
    const [long, short] = [promptOf("long"), promptOf("short")];
    turns.say(long, [text("execution_start")]);
    end(short, 100);
    turns.noteRead("short");
    expect(turns.impatientAt).toBeNull();
  });

  test("hears ends that come page by page one after another, and only then what runs", () => {
    const { turns, heard, end, held } = listening();
    const [long, first, second] = [promptOf("long"), promptOf("first"), promptOf("second")];
    turns.begin(long);
    held.isHeld = true;
    expect(end(first, -patienceMs)).toBe(false);
    turns.interrupt();
    expect(end(first)).toBe(true);
    turns.resume();
    turns.say(long, [text("executing", "2"), text("executed", "2")]);
    expect(end(second)).toBe(true);
    expect(heard).toEqual(["first execution_start", "first ended", "second execution_start", "second ended"]);
    held.isHeld = false;
    turns.resume();
    turns.resume();
    turns.say(long, [text("executing", "3")]);
    expect(heard.slice(4)).toEqual(["long execution_start", "long executing"]);
  });

  test("hears of others while a prompt waits again after its server was lost, which begins anew then", () => {
    const { turns, heard, due, end } = listening();
    const [one, two, three] = [promptOf("one"), promptOf("two"), promptOf("three")];
    turns.say(one, [text("execution_start"), text("executing", "1")]);
    turns.say(two, [text("execution_start")]);
    expect(end(three)).toBe(false);
    turns.release(one);
    expect(due).toEqual(["three"]);
    expect(end(three)).toBe(true);
    turns.say(one, [text("execution_start"), text("executing", "1")]);
    expect(end(two)).toBe(true);
    expect(heard.slice(2)).toEqual([
      ...["three execution_start", "three ended", "two execution_start", "two ended"],
      ...["one execution_start", "one executing"],
    ]);
  });

  test("hears nothing that was kept of a prompt which waits again, and its end tells all of it", () => {
    const { turns, heard, end } = listening();
    const [one, two] = [promptOf("one"), promptOf("two")];
    turns.say(one, [text("execution_start")]);
    const type = "execution_start";
    const json = JSON.stringify({ type, data: {} });
    const said = { jobId: "two", attempt: 1, serverPromptId: "id", kind: "text", type, json } as const;
    turns.say(two, two.take(said, 0));
    expect(two.isHeard).toBe(true);
    turns.release(two);
    expect(two.isHeard).toBe(false);
    expect(end(one)).toBe(true);
    expect(heard).toEqual(["one execution_start", "one ended"]);
    turns.say(two, [text("execution_start"), text("executing", "4")]);
    expect(end(two)).toBe(true);
    expect(heard.slice(2)).toEqual(["two execution_start", "two executing", "two ended"]);
  });

  test("keeps as much as before of others after much that was kept of a prompt is forgotten", () => {
    const { turns, heard, end } = listening();
    const [one, two, three] = [promptOf("one"), promptOf("two"), promptOf("three")];
    const large = "x".repeat(1_500_000);
    turns.say(one, [text("execution_start")]);
    turns.say(two, [text("execution_start"), text("executed", "3", large)]);
    turns.release(two);
    turns.say(three, [text("execution_start"), text("executed", "3", large)]);
    expect(end(one)).toBe(true);
    expect(heard.slice(2)).toEqual(["three execution_start", "three executed"]);
  });

  test("is not told twice that a prompt begins which runs again, if it heard of no other meanwhile", () => {
    const { turns, heard, end } = listening();
    const one = promptOf("one");
    turns.say(one, [text("execution_start"), text("executing", "1")]);
    turns.release(one);
    turns.say(one, [text("execution_start"), text("executing", "2")]);
    expect(end(one)).toBe(true);
    expect(heard).toEqual(["one execution_start", "one executing", "one executing", "one ended"]);
  });

  test("is told of a prompt of which too much would have to be kept as if it had just begun", () => {
    const { turns, heard, end } = listening();
    const [one, two] = [promptOf("one"), promptOf("two")];
    turns.say(one, [text("execution_start")]);
    const large = "x".repeat(100_000);
    for (let count = 0; count < 30; count += 1) turns.say(two, [text("executed", "3", large)]);
    end(one);
    turns.say(two, [text("execution_start")]);
    expect(heard).toEqual(["one execution_start", "one ended", "two execution_start"]);
  });

  test("hears the ends of a burst together, in their order", () => {
    const { turns, due, end } = listening();
    const live = promptOf("long");
    turns.say(live, [text("execution_start")]);
    const short = ["a", "b", "c"].map(promptOf);
    for (const [index, each] of short.entries()) expect(turns.mayEnd(each, 3 - index)).toBe(false);
    end(live);
    expect(due).toEqual(["c", "b", "a"]);
    expect(short.map((each) => turns.mayEnd(each, 4))).toEqual([true, true, true]);
  });
});
