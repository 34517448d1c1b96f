import { expect, test } from "@jest/globals";
import { FewAtOnce } from "./few-at-once.ts";

test("as many run at once as may, the others in their order, whether or not some fail", async () => {
  const few = new FewAtOnce(2);
  const begun: number[] = [];
  const gates: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const runs = Array.from({ length: 5 }, (_unused, index) =>
    few.run(async () => {
      begun.push(index);
      await new Promise<void>((resolve, reject) => (gates[index] = { resolve, reject }));
    }),
  );
  const settled = Promise.allSettled(runs);
  await new Promise(setImmediate);
  expect(begun).toEqual([0, 1]);
  gates[1]!.reject(new Error("failed"));
  await expect(runs[1]).rejects.toThrow("failed");
  expect(begun).toEqual([0, 1, 2]);
  for (let index = 0; index < 5; index += 1) {
    gates[index]?.resolve();
    await new Promise(setImmediate);
  }
  await settled;
  expect(begun).toEqual([0, 1, 2, 3, 4]);
});
