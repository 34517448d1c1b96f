import { expect, test } from "@jest/globals";
import { Audience } from "./audience.ts";
import { type ClientSocket } from "./client-socket.ts";

const socketOf = (id: string, openedAt: number): ClientSocket =>
  ({ id, openedAt, clientId: "client", keyName: "key" }) as ClientSocket;

test("only a newer socket of a client takes the place of one that is served, however late an older one is heard of", () => {
  const audience = new Audience(() => Promise.resolve(0));
  const served = socketOf("second", 2_000);
  audience.serve(served);
  audience.supersede("client", { socketId: "first", openedAt: 1_000 });
  audience.supersede("client", { socketId: "second", openedAt: 2_000 });
  expect(audience.find("client")).toBe(served);
  audience.supersede("client", { socketId: "third", openedAt: 3_000 });
  expect(audience.find("client")).toBeUndefined();
});
