import { type IncomingMessage } from "node:http";
import { expect, test } from "@jest/globals";
import { type Principal } from "@genga/jobs";
import { Access, type AccessOptions } from "../access/access.ts";
import { WrongKeys } from "../access/wrong-keys.ts";
import { type RefusedError } from "../http/problem-document.ts";
import { DoorAccess } from "./door-access.ts";

test("requests that waited while their key was revoked do not count as wrong keys of their address", async () => {
  const state = { isRevoked: false };
  const principal = { tenant: { id: "tenant" }, role: "submit", keyName: "plugin" } as Principal;
  const access = new Access({
    configuredKeys: { size: 0, find: () => undefined },
    madeKeys: {
      wereThere: true,
      find: (key: string) => Promise.resolve(key === "good" && !state.isRevoked ? principal : undefined),
    },
    isOnLoopback: false,
    wrongKeys: new WrongKeys({ perMinute: 3 }),
    counter: { inc: () => undefined },
  } as unknown as AccessOptions);
  const door = new DoorAccess({ access, corsOrigins: [] });
  const asking = (key: string): IncomingMessage =>
    ({ url: "/prompt", method: "POST", headers: { "x-api-key": key } }) as unknown as IncomingMessage;
  const codeOf = (error: unknown): string => (error as RefusedError).code;

  const address = "192.0.2.1";
  const request = asking("good");
  const admitted = await door.admit(request, address);
  await door.admitAgain(request, address, admitted);
  state.isRevoked = true;
  for (let waited = 0; waited < 10; waited += 1) {
    expect(await door.admitAgain(request, address, admitted).catch(codeOf)).toBe("key-unknown");
  }
  const wrong: unknown[] = [];
  for (let sent = 0; sent < 2; sent += 1) wrong.push(await door.admit(asking("bad"), address).catch(codeOf));
  expect(wrong).toEqual(["key-unknown", "key-unknown"]);
});
