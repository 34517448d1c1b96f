import { expect, test } from "@jest/globals";
import { DrawingTurns } from "./drawing-turns.ts";

/** Turns whose works go on until they are told to end, and the tenants that have begun, in order. */
function open(): {
  ask: (tenantId: string, count: number, signal?: AbortSignal) => Promise<PromiseSettledResult<string>[]>;
  begun: string[];
  endOne: () => Promise<void>;
} {
  const turns = new DrawingTurns();
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const draw = (tenantId: string) => async (): Promise<string> => {
    begun.push(tenantId);
    await new Promise<void>((resolve) => ends.push(resolve));
    return "drawn";
  };
  return {
    begun,
    ask: (tenantId, count, signal) =>
      Promise.allSettled(
        Array.from({ length: count }, () =>
          turns.take(tenantId, signal ?? new AbortController().signal, draw(tenantId)),
        ),
      ),
    endOne: async () => {
      ends.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
const refused = {
  status: "rejected",
  reason: expect.objectContaining({ code: "too-many-thumbnails" }) as unknown,
};

test("tenants take turns, those of which fewest are drawn first", async () => {
  const { ask, begun, endOne } = open();
  const all = [ask("a", 6), ask("b", 3), ask("c", 2)];
  for (let count = 0; count < 11; count += 1) await endOne();
  expect(begun.join("")).toBe("aabcabcabaa");
  for (const results of await Promise.all(all))
    for (const { status } of results) expect(status).toBe("fulfilled");
});

test("a tenant may have 32 waiting, and makes room for one that has fewer when 200 wait", async () => {
  const { ask, begun, endOne } = open();
  const [first, ...others] = ["a", "b", "c", "d", "e", "f"].map((tenant) => ask(tenant, 32));
  const more = ask("a", 3);
  const last = ask("g", 10);
  const late = ask("h", 1);
  for (let count = 0; count < 250; count += 1) await endOne();
  const refusedOf = async (asked: Promise<PromiseSettledResult<string>[]> | undefined): Promise<number> => {
    const ends = (await asked) ?? [];
    for (const end of ends) if (end.status === "rejected") expect(end).toEqual(refused);
    return ends.filter(({ status }) => status === "rejected").length;
  };
  // Two of a are drawn at once, so one of its further three is beyond its 32. Those of a, b and c that came last make room.
  expect([await refusedOf(more), await refusedOf(last), await refusedOf(late)]).toEqual([2, 0, 0]);
  expect(await Promise.all([first, ...others].map(refusedOf))).toEqual([0, 1, 1, 0, 0, 0]);
  expect(begun).toHaveLength(202);
});

test("who leaves is not waited for, and leaves no gap", async () => {
  const { ask, begun, endOne } = open();
  const leaving = new AbortController();
  const kept = ask("a", 3);
  const gone = ask("b", 3, leaving.signal);
  const after = ask("c", 1);
  leaving.abort(new Error("The client has left."));
  for (let count = 0; count < 4; count += 1) await endOne();
  expect(begun.join("")).toBe("aaca");
  expect((await gone).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect((await ask("b", 1, leaving.signal))[0]).toMatchObject({ status: "rejected" });
  for (const { status } of [...(await kept), ...(await after)]) expect(status).toBe("fulfilled");
});
