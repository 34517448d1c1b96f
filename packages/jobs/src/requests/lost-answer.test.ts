import { describe, expect, test } from "@jest/globals";
import { StoreUnavailableError } from "../job/job-errors.ts";
import { insertOrFind, withLostAnswers } from "./lost-answer.ts";

const refused = new StoreUnavailableError(new Error("refused"), { wasRefused: true });
const lost = new StoreUnavailableError(new Error("the connection broke"));
const submission = { tenantId: "studio", batch: null, jobs: [] };

function store(insert: Error, find: () => Promise<never[]>): Parameters<typeof insertOrFind>[0] {
  return {
    requests: { insertJobs: () => Promise.reject(insert) },
    reader: { of: () => ({ findJobs: find }) },
  };
}

describe("an insert", () => {
  test("that the store refused has changed nothing, so no query looks for its rows", async () => {
    const inserting = insertOrFind(
      store(refused, () => Promise.reject(new Error("looked"))),
      submission,
    );
    await expect(inserting).rejects.toMatchObject({ effect: "none" });
  });

  test("whose answer was lost may have taken effect if the query for its rows fails", async () => {
    const inserting = insertOrFind(
      store(lost, () => Promise.reject(refused)),
      submission,
    );
    await expect(inserting).rejects.toMatchObject({ effect: "unknown" });
  });

  test("whose answer was lost may still take effect if its rows are not found", async () => {
    const inserting = insertOrFind(
      store(lost, () => Promise.resolve([])),
      submission,
    );
    await expect(inserting).rejects.toMatchObject({ effect: "unknown" });
  });
});

test.each<[string, StoreUnavailableError[], string]>([
  ["all were refused", [refused], "none"],
  ["the answer to one was lost", [refused, lost, refused], "unknown"],
])("a change has changed nothing only if every try was refused: %s", async (_name, errors, effect) => {
  let tries = 0;
  const changing = withLostAnswers(() => Promise.reject(errors[tries++] ?? refused));
  await expect(changing).rejects.toMatchObject({ effect });
});
