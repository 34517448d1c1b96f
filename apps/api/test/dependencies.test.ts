import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
beforeAll(async () => {
  api = await startApiUnderTest();
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

const image = (more: object): object => ({ type: "image", prompt: "a cat", seed: 1, ...more });

async function submit(jobs: object[]): Promise<string[]> {
  const response = await api.post("batches", { jobs });
  const body = (await response.json()) as { jobs: { id: string }[] };
  expect({ status: response.status, body }).toMatchObject({ status: 202 });
  return body.jobs.map(({ id }) => id);
}

async function detail(id: string): Promise<Record<string, unknown>> {
  return (await (await api.request(`jobs/${id}`)).json()) as Record<string, unknown>;
}

test("a chain of a batch waits for its links, and says which", async () => {
  const [video, key] = await submit([
    image({ key: "video", dependsOn: ["key frame"] }),
    image({ key: "key frame" }),
  ]);
  const dependency = { jobId: key, key: "key frame", status: "queued", isMet: false };
  expect(await detail(video!)).toMatchObject({
    ...{ status: "queued", key: "video", dependsOn: [dependency] },
    waitingFor: { code: "dependency", dependencies: [dependency] },
  });
  await api.worker.complete(await api.worker.claim(key!, serverId), []);
  const after = await detail(video!);
  expect(after).toMatchObject({ dependsOn: [{ ...dependency, status: "completed", isMet: true }] });
  expect(after["waitingFor"]).not.toMatchObject({ code: "dependency" });
});

test("a job and a batch show the chain in which they stand: who waits for whom, and no others", async () => {
  const [pose, left, right, cut] = await submit([
    image({ key: "pose" }),
    image({ key: "left", dependsOn: ["pose"] }),
    image({ key: "right", dependsOn: ["pose"] }),
    image({ key: "cut", dependsOn: ["left", "right"] }),
    image({}),
  ]);
  const [titles] = await submit([image({ key: "titles", dependsOn: [cut!] }), image({})]);
  const ids = (...of: (string | undefined)[]): unknown => of.map((id) => expect.objectContaining({ id }));
  const chain = async (path: string): Promise<unknown> => (await api.request(path)).json();
  expect(await chain(`jobs/${pose!}/chain`)).toEqual({
    jobs: ids(pose, left, right, cut, titles),
    isWhole: true,
  });
  expect(await chain(`jobs/${left!}/chain`)).toEqual({ jobs: ids(left, pose, cut, titles), isWhole: true });
  const { batchId } = (await detail(titles!)) as { batchId: string };
  await api.worker.complete(await api.worker.claim(pose!, serverId), []);
  expect(await chain(`batches/${batchId}/chain`)).toEqual({
    jobs: [
      { id: titles, key: "titles", type: "image", status: "queued", batchId, needs: [cut] },
      expect.objectContaining({ id: cut, needs: [left, right].toSorted() }),
      expect.objectContaining({ id: left, needs: [pose] }),
      expect.objectContaining({ id: right, needs: [pose] }),
      expect.objectContaining({ id: pose, status: "completed", needs: [] }),
    ],
    isWhole: true,
  });
  await api.request(`jobs/${pose!}`, { method: "DELETE" });
  expect(await chain(`jobs/${left!}/chain`)).toMatchObject({
    jobs: [{ id: left }, { id: pose, key: null, type: null, status: "removed", batchId: null }, {}, {}],
  });
});

test("of a chain with too many jobs, those nearest to what was asked for are shown, and it is said", async () => {
  const [first] = await submit([image({})]);
  const many = await submit(Array.from({ length: 310 }, () => image({ dependsOn: [first!] })));
  const chain = (await (await api.request(`jobs/${first!}/chain`)).json()) as {
    jobs: { id: string }[];
    isWhole: boolean;
  };
  expect([chain.jobs.length, chain.jobs[0]?.id, chain.isWhole]).toEqual([300, first, false]);
  expect(many).toEqual(expect.arrayContaining(chain.jobs.slice(1).map(({ id }) => id)));

  const line = await submit(
    Array.from({ length: 320 }, (_, index) =>
      image({ key: `k${index}`, ...(index > 0 && { dependsOn: [`k${index - 1}`] }) }),
    ),
  );
  const ofLate = (await (await api.request(`jobs/${line[310]!}/chain`)).json()) as typeof chain;
  expect(ofLate.jobs.map(({ id }) => id)).toEqual(expect.arrayContaining(line.slice(300, 320)));
});

test("the chain of a batch has a job that another one came to need after it had completed", async () => {
  const [done] = await submit([image({})]);
  const { batchId } = (await detail(done!)) as { batchId: string };
  await api.worker.complete(await api.worker.claim(done!, serverId), []);
  const [later] = await submit([image({ dependsOn: [done!] })]);
  const chain = (await (await api.request(`batches/${batchId}/chain`)).json()) as { jobs: { id: string }[] };
  expect(chain.jobs.map(({ id }) => id)).toEqual([done, later]);
});

test("a job may depend on an existing job of its tenant, in capital letters, too", async () => {
  const [first] = await submit([image({})]);
  const response = await api.post("generate", image({ dependsOn: [first!.toUpperCase()] }));
  expect(response.status).toBe(202);
  const { id } = (await response.json()) as { id: string };
  expect(await detail(id)).toMatchObject({ dependsOn: [{ jobId: first, key: null, status: "queued" }] });
});

const loading = (value: unknown): object => ({
  type: "workflow",
  workflow: {
    "1": { class_type: "LoadImage", inputs: { image: value } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  },
});

test("a job waits for the jobs whose outputs it names, by parameter or in its graph, and shows their ids", async () => {
  const [key, inpainted, loaded] = await submit([
    image({ key: "key frame" }),
    image({ initImage: { from: "key frame", output: 0 } }),
    loading({ $output: { from: "key frame", output: 1 } }),
  ]);
  for (const id of [inpainted!, loaded!]) {
    expect(await detail(id)).toMatchObject({
      dependsOn: [{ jobId: key }],
      waitingFor: { code: "dependency" },
    });
  }
  const parametersOf = async (id: string): Promise<unknown> =>
    (await api.request(`jobs/${id}/parameters`)).json();
  expect(await parametersOf(inpainted!)).toMatchObject({
    parameters: { initImage: { from: key, output: 0 } },
  });
  expect(await parametersOf(loaded!)).toMatchObject({
    parameters: { workflow: { "1": { inputs: { image: { $output: { from: key, output: 1 } } } } } },
  });
  const graphOf = async (id: string): Promise<unknown> => (await api.request(`jobs/${id}/workflow`)).json();
  expect(await graphOf(loaded!)).toMatchObject({
    "1": { inputs: { image: { $output: { from: key, output: 1 } } } },
  });
  expect(JSON.stringify(await graphOf(inpainted!))).toContain(`{"$output":{"from":"${key!}","output":0}}`);
});

test.each([
  ["an unknown key", image({ initImage: { from: "nobody", output: 0 } }), "unknown-job", "initImage.from"],
  [
    "an unknown key in a graph",
    loading({ $output: { from: "nobody", output: 0 } }),
    "unknown-job",
    "workflow.1.inputs.image.from",
  ],
  [
    "no index",
    loading({ $output: { from: "0190a5c2-0000-7000-8000-00000000dead" } }),
    "invalid-field",
    "workflow.1.inputs.image",
  ],
  ["something else", image({ initImage: 7 }), "invalid-field", "initImage"],
])("a file with %s refuses the job", async (_what, job, code, path) => {
  const response = await api.post("generate", job);
  const body = (await response.json()) as { code: string; problems: { path: string }[] };
  expect({ status: response.status, code: body.code }).toEqual({ status: 422, code });
  expect(body.problems[0]).toMatchObject({ path });
});

test.each([
  ["an unknown key", [image({ dependsOn: ["nobody"] })], "unknown-job", "jobs.0.dependsOn.0"],
  ["itself", [image({}), image({ key: "a", dependsOn: ["a"] })], "dependency-cycle", "jobs.1.dependsOn.0"],
  [
    "a job that waits for it",
    [image({ key: "a", dependsOn: ["b"] }), image({ key: "b", dependsOn: ["a"] })],
    "dependency-cycle",
    "jobs.0.dependsOn",
  ],
  [
    "a job that is not there",
    [image({ dependsOn: ["0190a5c2-0000-7000-8000-00000000dead"] })],
    "unknown-job",
    "jobs.0.dependsOn",
  ],
])(
  "a job that depends on %s refuses the batch and its dry run, by its index",
  async (_what, jobs, code, path) => {
    for (const dryRun of [false, true]) {
      const response = await api.post("batches", { jobs, dryRun });
      const body = (await response.json()) as { code: string; problems: { path: string; code: string }[] };
      expect({ status: response.status, code: body.code }).toEqual({ status: 422, code });
      expect(body.problems[0]).toMatchObject({ path, code });
    }
  },
);

test("two jobs of a batch cannot have one key, and a batch has none", async () => {
  const response = await api.post("batches", { jobs: [image({ key: "a" }), image({ key: "a" })] });
  expect(await response.json()).toMatchObject({ code: "duplicate-key", problems: [{ path: "jobs.1.key" }] });
  const withKey = await api.post("batches", { key: "a", jobs: [image({})] });
  expect(withKey.status).toBe(422);
});

test("what failed because of a job cannot be retried alone; a retry of that job brings it back", async () => {
  const [key, video] = await submit([image({ key: "a" }), image({ dependsOn: ["a"] })]);
  await api.post(`jobs/${key!}/cancel`, {});
  expect(await detail(video!)).toMatchObject({
    status: "failed",
    failure: { class: "dependency", code: "dependency-failed" },
    dependsOn: [{ status: "cancelled" }],
  });
  const refused = await api.post(`jobs/${video!}/retry`, {});
  expect({ status: refused.status, body: await refused.json() }).toMatchObject({
    status: 409,
    body: { code: "needed-job-ended" },
  });
  const late = await api.post("generate", image({ dependsOn: [key!] }));
  expect(await late.json()).toMatchObject({ status: 422, code: "dependency-ended" });
  expect((await api.post(`jobs/${key!}/retry`, {})).status).toBe(202);
  expect(await detail(video!)).toMatchObject({ status: "queued", waitingFor: { code: "dependency" } });
});
