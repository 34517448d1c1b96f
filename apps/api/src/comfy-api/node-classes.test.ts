import { expect, test } from "@jest/globals";
import { type JobReader, StoreUnavailableError } from "@genga/jobs";
import { NodeClasses } from "./node-classes.ts";

test("the classes of a watched job are read once, however many others are watched, and again after an outage", async () => {
  const reads: string[] = [];
  let isAway = false;
  const reader = {
    findNodeClasses: (id: string) => {
      reads.push(id);
      return isAway
        ? Promise.reject(new StoreUnavailableError(undefined))
        : Promise.resolve(new Map([["1", `of ${id}`]]));
    },
  } as unknown as ReturnType<JobReader["of"]>;
  const classes = new NodeClasses({ of: () => reader });
  const jobs = Array.from({ length: 500 }, (_, index) => ({ id: String(index), tenantId: "tenant" }));
  const watched = jobs.map((job) => ({ job, classOf: classes.reader(job) }));
  for (let round = 0; round < 3; round += 1)
    for (const { job, classOf } of watched) expect(await classOf("1")).toBe(`of ${job.id}`);
  expect(reads).toHaveLength(500);
  const [first] = watched;
  expect(await first!.classOf("2")).toBeNull();
  expect(await first!.classOf(null)).toBeNull();
  isAway = true;
  const late = classes.reader({ id: "late", tenantId: "tenant" });
  expect(await late("1")).toBeNull();
  isAway = false;
  expect(await late("1")).toBe("of late");
});
