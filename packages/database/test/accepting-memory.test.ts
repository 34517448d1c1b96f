import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { v7 as uuidv7 } from "uuid";
import { buildJob, buildWorkflow } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  tenantId = (await stores.tenants.defaultTenant()).id;
}, 180_000);
afterAll(() => stores.close());

/** In bytes, after a collection of garbage. */
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}

async function accept(prompts: string[]): Promise<void> {
  const jobs = prompts.map((prompt) =>
    buildJob({ type: "workflow", parameters: {}, workflow: buildWorkflow(prompt) }),
  );
  await stores.jobRequests.insertJobs({ tenantId, batch: { id: uuidv7(), name: null }, jobs });
}

test("nothing of accepted jobs stays in memory", async () => {
  await accept(["warms up"]);
  const before = heapUsed();
  for (let round = 0; round < 10; round += 1) await accept([`${round} ${"shot ".repeat(400_000)}`]);
  await accept(Array.from({ length: 1_000 }, (_, index) => `${index} ${"shot ".repeat(2_000)}`));
  // The texts of these graphs have 30 MB.
  expect((heapUsed() - before) / 1e6).toBeLessThan(5);
}, 180_000);
