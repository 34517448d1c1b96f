import { expect, test } from "@jest/globals";
import { AskedHistory } from "./asked-history.ts";

const queue = { tenantId: "tenant", keyName: "key" };
const openIn = async (history: AskedHistory): Promise<string[]> =>
  (await history.believedOpen(queue)).toSorted();

/** What all processes know, which can be away. */
function shared() {
  const known = new Set<string>();
  const state = { known, isAway: false };
  const note = (_queue: unknown, promptId: string): Promise<boolean> => {
    if (!state.isAway) known.add(promptId);
    return Promise.resolve(!state.isAway);
  };
  const forget = (_queue: unknown, promptId: string): Promise<void> => {
    if (!state.isAway) known.delete(promptId);
    return Promise.resolve();
  };
  const list = (): Promise<string[] | null> => Promise.resolve(state.isAway ? null : [...known]);
  const close = (): Promise<void> => Promise.resolve();
  return { state, port: { connect: () => undefined, note, forget, list, close } };
}

test("a prompt of which other processes could not be told counts as open until its entry was shown", async () => {
  const { state, port } = shared();
  const [one, two] = [new AskedHistory(port), new AskedHistory(port)];
  await one.noteNone(queue, "told");
  state.isAway = true;
  await one.noteNone(queue, "untold");
  await one.noteNone(queue, "late");
  await one.noteNone(queue, "none\0");
  expect(await openIn(one)).toEqual(["late", "told", "untold"]);
  expect(await openIn(two)).toEqual([]);
  state.isAway = false;
  state.known.add("late");
  expect(await openIn(one)).toEqual(["late", "told", "untold"]);
  // Another process shows the entries that it knows of.
  two.noteSeen(queue, "told");
  two.noteSeen(queue, "late");
  expect(await openIn(one)).toEqual(["untold"]);
  one.noteSeen(queue, "untold");
  expect(await openIn(one)).toEqual([]);
});
