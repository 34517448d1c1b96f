import { GengaError } from "@genga/client";
import { expect, test } from "@jest/globals";
import { doToEach, resultText } from "./bulk-actions.ts";

test("does the same to each job, and counts why others were refused", async () => {
  const jobs = Array.from({ length: 10 }, (_, index) => ({ id: String(index) }));
  const asked: string[] = [];
  let underWay = 0;
  let most = 0;
  const result = await doToEach(jobs, async (id) => {
    asked.push(id);
    underWay += 1;
    most = Math.max(most, underWay);
    await Promise.resolve();
    underWay -= 1;
    if (Number(id) % 4 === 0)
      throw new GengaError({
        status: 409,
        code: "job-already-ended",
        title: "Ended",
        detail: "The job has ended.",
      });
  });
  expect(asked.toSorted()).toEqual(jobs.map(({ id }) => id));
  expect(most).toBe(4);
  expect(resultText(result, "cancelled")).toBe("7 jobs were cancelled.\n3 were not: The job has ended.");
  expect(resultText({ done: 1, refused: new Map() }, "removed")).toBe("1 job was removed.");
});
