import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApiUnderTest();
  await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

const checkedSchema = z.object({
  dryRun: z.literal(true),
  total: z.number(),
  jobs: z.array(z.object({ index: z.number(), values: z.record(z.string(), z.unknown()) })),
});
const acceptedSchema = z.object({
  id: z.string(),
  total: z.number(),
  jobs: z.array(z.object({ id: z.string() })),
});
const refusedSchema = z.object({
  code: z.string(),
  problems: z.array(z.object({ path: z.string(), code: z.string(), message: z.string() })),
});

const image = { type: "image", prompt: "a harbour" };
const workflow = {
  "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
  "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
};

async function dryRun(sweep: object, more: object = {}): Promise<z.infer<typeof checkedSchema>> {
  const response = await api.post("batches", { sweep, dryRun: true, ...more });
  const body: unknown = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status: 200 });
  return checkedSchema.parse(body);
}
async function submit(
  sweep: object,
  headers: Record<string, string> = {},
): Promise<z.infer<typeof acceptedSchema>> {
  const response = await api.post("batches", { name: "sweep", sweep }, headers);
  const body: unknown = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status: 202 });
  return acceptedSchema.parse(body);
}
async function refused(body: object): Promise<z.infer<typeof refusedSchema>["problems"]> {
  const response = await api.post("batches", body);
  expect(response.status).toBe(422);
  return refusedSchema.parse(await response.json()).problems;
}
async function part(id: string, name: "parameters" | "workflow"): Promise<unknown> {
  return (await api.request(`jobs/${id}/${name}`)).json();
}
const waiting = async (): Promise<number> => (await api.database.jobReader.summarizeQueue()).counts.queued;

describe("a sweep", () => {
  test("makes a job of every combination, the last list varying fastest and seeds faster still", async () => {
    const sweep = { base: image, vary: { steps: [20, 30], shot: ["a", "b"] }, seeds: { from: 7, to: 8 } };
    const before = await waiting();
    const { total, jobs } = await dryRun(sweep);
    expect(total).toBe(8);
    const combinations = [20, 30].flatMap((steps) =>
      ["a", "b"].flatMap((shot) => [7, 8].map((seed) => ({ steps, shot, seed }))),
    );
    expect(jobs.map(({ values }) => values)).toEqual(combinations);
    expect(await waiting()).toBe(before); // A dry run stores nothing.

    const accepted = await submit(sweep);
    expect(accepted.total).toBe(8);
    for (const [index, { steps, shot, seed }] of combinations.entries()) {
      const { id } = accepted.jobs[index]!;
      expect(await part(id, "parameters")).toMatchObject({
        parameters: { prompt: "a harbour", steps, seed },
      });
      expect(await (await api.request(`jobs/${id}`)).json()).toMatchObject({ shot, batchIndex: index });
    }
  });

  test("takes the values of its lists side by side if it zips them", async () => {
    const vary = { steps: [20, 30], cfg: [6, 7.5] };
    const { total, jobs } = await dryRun({ base: image, vary, combine: "zip", seeds: { count: 2 } });
    expect(total).toBe(4);
    expect(jobs.map(({ values }) => values)).toEqual([
      { steps: 20, cfg: 6, seed: 0 },
      { steps: 20, cfg: 6, seed: 1 },
      { steps: 30, cfg: 7.5, seed: 0 },
      { steps: 30, cfg: 7.5, seed: 1 },
    ]);
  });

  test("changes inputs of a raw workflow and nothing else of it, and keeps every digit of a number", async () => {
    const body = JSON.stringify({
      sweep: {
        base: { type: "workflow", workflow },
        nodeInputs: { "1.color": [16_777_215, "big"], "1.width": [64] },
      },
    }).replace('"big"', "1.0");
    const response = await api.post("batches", body.replace("1.0", "5"));
    const { jobs } = acceptedSchema.parse(await response.json());
    const inputs = { ...workflow["1"].inputs, color: 16_777_215 };
    expect(await part(jobs[0]!.id, "workflow")).toEqual({ ...workflow, "1": { ...workflow["1"], inputs } });
    expect(await part(jobs[1]!.id, "workflow")).toMatchObject({ "1": { inputs: { color: 5 } } });

    const seeds = '"seeds": [18446744073709551615, 3]';
    const exact = await api.post(
      "batches",
      `{"sweep": {"base": {"type": "image", "prompt": "x"}, ${seeds}}}`,
    );
    const { jobs: seeded } = acceptedSchema.parse(await exact.json());
    expect(await part(seeded[0]!.id, "parameters")).toMatchObject({
      parameters: { seed: "18446744073709551615" },
    });
  });

  test("names the values of each job that is not valid, and refuses all", async () => {
    const before = await waiting();
    const sweep = { base: image, vary: { width: [512, 7], steps: [20, 30] } };
    for (const more of [{}, { dryRun: true }]) {
      const problems = await refused({ sweep, ...more });
      expect(problems.map(({ path }) => path)).toEqual(["jobs.2.width", "jobs.3.width"]);
      expect(problems[1]!.message).toContain("(The job with width = 7, steps = 30.)");
    }
    expect(await waiting()).toBe(before);
  });

  const raw = { type: "workflow", workflow };
  test.each<[string, object, string, string]>([
    [
      "both jobs and a sweep",
      { jobs: [image], sweep: { base: image, seeds: [1] } },
      "sweep",
      "invalid-value",
    ],
    ["a sweep of nothing", { sweep: { base: image } }, "sweep.vary", "missing-field"],
    ["a base that is no job", { sweep: { base: 7, seeds: [1] } }, "sweep.base", "wrong-type"],
    ["too many jobs", { sweep: { base: image, seeds: { from: 0, to: 10_000 } } }, "sweep", "out-of-bounds"],
    [
      "seeds that end early",
      { sweep: { base: image, seeds: { from: 5, to: 4 } } },
      "sweep.seeds",
      "out-of-bounds",
    ],
    [
      "an unknown input",
      { sweep: { base: raw, nodeInputs: { "1.size": [1] } } },
      "sweep.nodeInputs.1.size",
      "unknown-field",
    ],
    ["seeds without an input for them", { sweep: { base: raw, seeds: [1] } }, "sweep.seeds", "unknown-field"],
    ["seeds twice", { sweep: { base: image, vary: { seed: [1] }, seeds: [1] } }, "sweep", "invalid-value"],
    [
      "a changing type",
      { sweep: { base: image, vary: { type: ["video"] } } },
      "sweep.vary.type",
      "unknown-field",
    ],
    [
      "lists of different lengths to zip",
      { sweep: { base: image, vary: { steps: [1, 2], cfg: [1] }, combine: "zip" } },
      "sweep.combine",
      "invalid-value",
    ],
    ["an empty list", { sweep: { base: image, vary: { steps: [] } } }, "sweep.vary.steps", "out-of-bounds"],
  ])("is refused with %s", async (_name, body, path, code) => {
    expect(await refused(body)).toMatchObject([{ path, code }]);
  });

  test("is accepted once under its key, which a dry run before it does not use up", async () => {
    const headers = { "idempotency-key": "sweep-of-today" };
    const sweep = { base: image, seeds: { count: 3 } };
    expect((await api.post("batches", { sweep, dryRun: true }, headers)).status).toBe(200);
    const first = await submit(sweep, headers);
    expect(await submit(sweep, headers)).toEqual(first);
  });

  test("may have ten thousand jobs", async () => {
    const sweep = {
      base: { type: "image", prompt: "x" },
      vary: { steps: [20, 30] },
      seeds: { count: 5_000 },
    };
    expect((await submit(sweep)).jobs).toHaveLength(10_000);
  }, 180_000);
});
