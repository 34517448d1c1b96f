import { expect, test } from "@jest/globals";
import { readJobLines } from "./job-lines.ts";

const tooMany = { problems: [{ path: "jobs", code: "out-of-bounds", accepted: { max: 10_000 } }] };

test("lines are jobs, and empty ones do not count", async () => {
  expect(await readJobLines('{"a":1}\r\n\n  \n{"b":2}')).toEqual({ jobs: [{ a: 1 }, { b: 2 }] });
  expect(await readJobLines("")).toEqual({ jobs: [] });
  expect((await readJobLines("1\n".repeat(10_000))).jobs).toHaveLength(10_000);
});

test("a line that is not JSON is named by its number", async () => {
  await expect(readJobLines("1\n\n{")).rejects.toThrow(/^Line 3: /);
});

test("reading stops at the first job that is one too many, and does not read what follows it", async () => {
  await expect(readJobLines(`${"1\n".repeat(10_001)}this is not JSON`)).rejects.toMatchObject(tooMany);
});

test("reading stops at too many empty lines", async () => {
  await expect(readJobLines(`${"\n".repeat(100_000)}1`)).rejects.toMatchObject(tooMany);
});

test("other work has its turns while many lines are read", async () => {
  let turns = 0;
  let isReading = true;
  const work = (): void => {
    turns += 1;
    if (isReading) setImmediate(work);
  };
  setImmediate(work);
  await readJobLines("1\n".repeat(10_000));
  isReading = false;
  expect(turns).toBeGreaterThan(40);
});
