import { expect, test } from "@jest/globals";
import { type DoorParts } from "../door-parts.ts";
import { type DoorRequest } from "../door-route.ts";
import { getHistoryOfPrompt } from "./history.ts";

test("a prompt whose entry could not be read counts as not seen, so the queue goes on showing it", async () => {
  const events: string[] = [];
  let entry = Promise.reject<string>(new Error("The database is away."));
  const door = {
    prompts: { findEnded: () => Promise.resolve({ jobId: "job" }) },
    askedHistory: { noteSeen: () => events.push("seen"), noteNone: () => Promise.resolve() },
    history: { entryOf: () => entry },
    upgrades: { noteRead: () => events.push("read") },
  };
  const response = { type: () => response, send: (text: string) => events.push(text) };
  const asked = {
    ...{ request: { params: { promptId: "prompt" } }, response },
    principal: { tenant: { id: "tenant" }, keyName: "key" },
  };
  const handle = async (): Promise<void> => {
    await getHistoryOfPrompt.handle(asked as unknown as DoorRequest, { door } as unknown as DoorParts);
  };
  await expect(handle()).rejects.toThrow("The database is away.");
  expect(events).toEqual([]);
  entry = Promise.resolve("{}");
  await handle();
  expect(events).toEqual(["seen", '{"prompt":{}}', "read"]);
});
