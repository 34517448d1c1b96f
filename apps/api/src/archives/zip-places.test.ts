import { EventEmitter, once } from "node:events";
import { expect, test } from "@jest/globals";
import { ZipPlaces } from "./zip-places.ts";

const holdAll = (
  places: ZipPlaces,
  tenantId: string,
  count: number,
  until: Promise<unknown>,
): Promise<PromiseSettledResult<unknown>[]> =>
  Promise.allSettled(Array.from({ length: count }, () => places.hold(tenantId, () => until)));
const refused = {
  status: "rejected",
  reason: expect.objectContaining({ code: "too-many-streams" }) as unknown,
};

test("a tenant has a share of the places, and gives them back, also when it fails", async () => {
  const places = new ZipPlaces();
  for (const settle of ["left", "error"] as const) {
    const leaving = new EventEmitter();
    const left = once(leaving, "left");
    // All at once: the place is taken before anything is awaited.
    const greedy = holdAll(places, "a", 9, left);
    expect(await places.hold("b", () => Promise.resolve("served"))).toBe("served");
    leaving.emit(settle, settle === "error" ? new Error("It failed.") : undefined);
    const results = await greedy;
    expect(results.at(-1)).toEqual(refused);
    expect(results.slice(0, 8).map(({ status }) => status)).toEqual(
      Array<string>(8).fill(settle === "left" ? "fulfilled" : "rejected"),
    );
  }
  expect(await places.hold("a", () => Promise.resolve("served"))).toBe("served");
});

test("a process has 32 places", async () => {
  const places = new ZipPlaces();
  const leaving = new EventEmitter();
  const left = once(leaving, "left");
  const held = ["a", "b", "c", "d"].map((tenant) => holdAll(places, tenant, 8, left));
  const [fifth] = await holdAll(places, "e", 1, left);
  expect(fifth).toEqual(refused);
  leaving.emit("left");
  await Promise.all(held);
  expect(await places.hold("e", () => Promise.resolve("served"))).toBe("served");
});
