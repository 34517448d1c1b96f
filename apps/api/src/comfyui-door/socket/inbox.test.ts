import { expect, test } from "@jest/globals";
import { type DoorMessage } from "@genga/jobs";
import { Inbox } from "./inbox.ts";

const of = { jobId: "job", attempt: 1, serverPromptId: "0195f000-0000-7000-8000-000000000001" };
const frame: DoorMessage = { ...of, kind: "frame", frame: new Uint8Array(1024 * 1024) };
const ended: DoorMessage = { ...of, kind: "ended" };

test("large messages that nobody takes are dropped, and small ones still come in", () => {
  const inbox = new Inbox();
  for (let count = 0; count < 100; count += 1) inbox.add(frame);
  inbox.add(ended);
  expect(inbox.take(33).map(({ kind }) => kind)).toEqual([
    ...Array.from({ length: 32 }, () => "frame"),
    "ended",
  ]);
  inbox.add(frame);
  inbox.add(ended);
  expect(inbox.take(1)).toEqual([frame]);
  expect(inbox.take(1)).toEqual([ended]);
  expect(inbox.length).toBe(0);
});
