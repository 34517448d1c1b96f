import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import { ApiClient, createTestDatabase, startStack, type Stack, type TestDatabase } from "@genga/testing";
import { z } from "zod";

let scratch: TestDatabase;
let stack: Stack;
let client: ApiClient;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: scratch.url, simulators: 1, apis: 2 });
  client = new ApiClient(stack.url);
}, 180_000);
afterAll(async () => {
  await stack.stop();
  await scratch.drop();
}, 180_000);

const template = {
  name: "blank-page",
  workflow: {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "page" } },
  },
  parameters: {
    width: { type: "integer", min: 16, max: 256, multipleOf: 8, targets: [{ node: "1", input: "width" }] },
    height: { type: "integer", min: 16, max: 256, default: 32, targets: [{ node: "1", input: "height" }] },
  },
};

test("a sweep over a template, stored through one API process and used through another, makes what its values say", async () => {
  expect((await client.request("POST", "templates", template)).status).toBe(201);
  const other = new ApiClient(String(stack.apis[1]!.details["url"]));
  const answer = await other.request("POST", "batches", {
    sweep: { base: { template: template.name }, values: { width: [64, 128], height: [16, 48] } },
  });
  const batch = z
    .object({ total: z.literal(4), jobs: z.array(z.object({ id: z.string() })) })
    .parse(await answer.json());
  const sizes = await Promise.all(
    batch.jobs.map(async ({ id }) => {
      expect((await client.untilEnded(id)).status).toBe("completed");
      return (await client.outputs(id)).map(({ width, height }) => [width, height]);
    }),
  );
  expect(sizes).toEqual([[[64, 16]], [[64, 48]], [[128, 16]], [[128, 48]]]);
  const listed = await client.request("GET", `jobs?template=${template.name}`);
  expect(((await listed.json()) as { jobs: unknown[] }).jobs).toHaveLength(4);
});
