import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { type BatchDetail } from "@genga/client";
import { expect, test } from "@jest/globals";
import { Terminal } from "../terminal/terminal.ts";
import { openProgressView } from "./show-progress.ts";

function aBatch(id: string, completed: number, total: number): BatchDetail {
  const counts = { queued: total - completed, processing: 0, completed, failed: 0, timeout: 0, cancelled: 0 };
  const percent = (100 * completed) / total;
  return {
    ...{ id, name: "night\u001b[31m", total, counts, percent, pausedAt: null },
    done: completed === total,
  } as BatchDetail;
}

/** A terminal with so many rows. @returns what it was sent */
async function shownOn(rows: number, states: readonly BatchDetail[]): Promise<string> {
  const err = Object.assign(new PassThrough(), {
    isTTY: true,
    rows,
    columns: 200,
    cursorTo: () => true,
    moveCursor: () => true,
    clearLine: () => true,
  });
  const view = openProgressView(new Terminal(new PassThrough(), err, false));
  for (const state of states) view.show(state);
  view.close();
  err.end();
  return text(err);
}

test("a bar says how far a batch is, and no name steers the terminal", async () => {
  const shown = await shownOn(40, [aBatch("0199a7b2-1", 1, 4), aBatch("0199a7b2-1", 3, 4)]);
  expect(shown).toContain("75 %  3 of 4");
  expect(shown).toContain("night\\u001b[31m");
  expect(shown).not.toMatch(/\{\w+\}/);
});

test("what has no room is counted by a last bar", async () => {
  const shown = await shownOn(
    5,
    ["a", "b", "c", "d"].map((id) => aBatch(id, id === "d" ? 4 : 1, 4)),
  );
  expect(shown).toContain("and 2 more");
  expect(shown).toContain("50 %  1 ended");
});
