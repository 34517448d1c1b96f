import { expect, test } from "@jest/globals";
import { Coalescer } from "./coalescer.ts";

test("any number of triggers during a run make exactly one more run", async () => {
  const gates: (() => void)[] = [];
  const coalescer = new Coalescer(() => new Promise<void>((resolve) => gates.push(resolve)));
  const first = coalescer.trigger();
  const others = [coalescer.trigger(), coalescer.trigger(), coalescer.trigger()];
  expect(gates).toHaveLength(1);
  gates[0]?.();
  await first;
  await Promise.resolve();
  expect(gates).toHaveLength(2);
  gates[1]?.();
  await Promise.all(others);
  await coalescer.whenIdle();
  expect(gates).toHaveLength(2);
});

test("a trigger after the end runs again", async () => {
  let runs = 0;
  const coalescer = new Coalescer(() => {
    runs += 1;
    return Promise.resolve();
  });
  await coalescer.trigger();
  await coalescer.trigger();
  expect(runs).toBe(2);
});
