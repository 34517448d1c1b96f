import { expect, test } from "@jest/globals";
import { Audience } from "./audience.ts";
import { type ClientSocket } from "./client-socket.ts";

const socketOf = (id: string, openedAt: number): ClientSocket =>
  ({ id, openedAt, clientId: "client", keyName: "key" }) as ClientSocket;

test("a client that waits for prompts does not take its socket for broken: it hears from time to time how many are left", async () => {
  let open = 1;
  const audience = new Audience(() => Promise.resolve({ active: open, untold: [] }));
  const heard: string[] = [];
  const socket = {
    ...{ clientId: "client", keyName: "key", toldAt: 1_000 },
    text: (type: string) => {
      heard.push(type);
      socket.toldAt = 9_000;
    },
  };
  audience.serve(socket as unknown as ClientSocket);
  await audience.count();
  expect(audience.quietAt).toBeLessThan(11_000);
  audience.tellQuiet(1_100);
  expect(heard).toEqual([]);
  audience.tellQuiet(9_000);
  audience.tellQuiet(9_001);
  expect(heard).toEqual(["status"]);
  open = 0;
  await audience.count();
  expect(audience.quietAt).toBe(Number.POSITIVE_INFINITY);
  audience.tellQuiet(99_000);
  expect(heard).toEqual(["status"]);
});

test("a prompt counts until its client is told of the end, and each one that comes is told", async () => {
  const audience = new Audience(() => Promise.resolve({ active: 2, untold: ["ended"] }));
  const heard: number[] = [];
  const text = (_type: string, json: string): void => {
    heard.push(
      (JSON.parse(json) as { data: { status: { exec_info: { queue_remaining: number } } } }).data.status
        .exec_info.queue_remaining,
    );
  };
  audience.serve({ clientId: "client", keyName: "key", text } as unknown as ClientSocket);
  await audience.count();
  audience.tellAdded(new Map([["key", 2]]));
  audience.tellEnded("key", "ended", true);
  audience.noteTold("ended");
  audience.tellStatus(["key"]);
  audience.tellChange("key");
  expect(heard).toEqual([2, 3, 2]);
  audience.noteUntold("ended");
  audience.tellChange("key");
  expect(heard).toEqual([2, 3, 2, 3]);
});

test("only a newer socket of a client takes the place of one that is served, however late an older one is heard of", () => {
  const audience = new Audience(() => Promise.resolve({ active: 0, untold: [] }));
  const served = socketOf("second", 2_000);
  audience.serve(served);
  audience.supersede("client", { socketId: "first", openedAt: 1_000 });
  audience.supersede("client", { socketId: "second", openedAt: 2_000 });
  expect(audience.find("client")).toBe(served);
  audience.supersede("client", { socketId: "third", openedAt: 3_000 });
  expect(audience.find("client")).toBeUndefined();
});
