import { EventEmitter } from "node:events";
import { expect, test } from "@jest/globals";
import { type Request, type RequestHandler, type Response } from "express";
import { RefusedError } from "../http/problem-document.ts";
import { TenantAdmission, type TenantAdmissionParts } from "./tenant-admission.ts";

/** A tenant with one place for requests, and a key that may be revoked. */
function oneAtOnce() {
  const state = { used: 0, isRevoked: false, guarded: 0, waiting: 0 };
  const takePlace = () => {
    if (state.used > 0) return Promise.resolve({ used: state.used });
    state.used += 1;
    return Promise.resolve({ release: () => void (state.used -= 1) });
  };
  const admission = new TenantAdmission({
    limits: { of: () => Promise.resolve({ requestsPerMinute: 100, requestsAtOnce: 1 }) },
    admissions: { takePlace, countRequest: () => Promise.resolve(null) },
    waiting: { inc: () => void (state.waiting += 1), dec: () => void (state.waiting -= 1) },
  } as unknown as TenantAdmissionParts);
  const guard: RequestHandler = (_request, _response, next) => {
    state.guarded += 1;
    if (state.isRevoked) throw new RefusedError("key-unknown", "The key was revoked.");
    next();
  };
  const admit = admission.admitInTurn(guard);
  const ask = () => {
    const locals = { principal: { tenant: { id: "tenant" } } };
    const response = Object.assign(new EventEmitter(), { locals, closed: false, destroyed: false });
    const run = async (): Promise<string> => {
      let said = "nothing";
      await admit({ headers: {} } as Request, response as unknown as Response, () => void (said = "served"));
      return said;
    };
    const outcome = run().catch((error: unknown) => (error as RefusedError).code);
    const waitElsewhere = () => admission.waitElsewhere(response as unknown as Response);
    return { outcome, waitElsewhere, end: () => response.emit("close") };
  };
  return { state, ask };
}

test("a request that has waited for its turn is served only if its key still works", async () => {
  const { state, ask } = oneAtOnce();
  const first = ask();
  expect([await first.outcome, state.guarded]).toEqual(["served", 0]);
  const second = ask();
  while (state.waiting === 0) await Promise.resolve();
  first.end();
  expect([await second.outcome, state.guarded]).toEqual(["served", 1]);
  const third = ask();
  while (state.waiting === 0) await Promise.resolve();
  state.isRevoked = true;
  second.end();
  expect([await third.outcome, state.guarded]).toEqual(["key-unknown", 2]);
  // Its answer is the refusal, and gives the place back.
  third.end();
  expect(state.used).toBe(0);
});

test("a request that goes on to wait elsewhere gives its place to the next one, and waits for thirty seconds in all", async () => {
  const { state, ask } = oneAtOnce();
  const first = ask();
  expect(await first.outcome).toBe("served");
  const second = ask();
  while (state.waiting === 0) await Promise.resolve();
  const began = performance.now();
  expect(first.waitElsewhere()).toBe(30_000);
  expect(await second.outcome).toBe("served");
  while (performance.now() - began < 2) await Promise.resolve();
  expect(second.waitElsewhere()).toBeLessThan(30_000);
});
