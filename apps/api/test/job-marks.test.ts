import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const keys = { studio: "key-of-the-studio", other: "key-of-another" };
let api: ApiUnderTest;

beforeAll(async () => {
  const apiKeys = `studio:submit:${keys.studio},other:submit:${keys.other}`;
  api = await startApiUnderTest({ env: { API_KEYS: apiKeys } });
  await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

async function send(method: string, path: string, body?: object, key = keys.studio): Promise<Response> {
  return api.request(path, {
    method,
    headers: { "x-api-key": key, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}
const jsonOf = async <Answer>(response: Promise<Response>): Promise<Answer> =>
  (await (await response).json()) as Answer;

interface Listed {
  jobs: { id: string; mark: string | null }[];
}
const marksOf = async (query: string): Promise<(readonly [string, string | null])[]> =>
  (await jsonOf<Listed>(send("GET", `jobs?${query}`))).jobs.map(({ id, mark }) => [id, mark] as const);

async function batchOf(count: number, key = keys.studio): Promise<{ id: string; jobs: string[] }> {
  const jobs = Array.from({ length: count }, () => ({ type: "image", prompt: "a cat" }));
  const made = await jsonOf<{ id: string; jobs: { id: string }[] }>(send("POST", "batches", { jobs }, key));
  return { id: made.id, jobs: made.jobs.map(({ id }) => id) };
}

test("jobs are picked and rejected, and lists show it and can be filtered by it", async () => {
  const { id: batch, jobs } = await batchOf(4);
  const [first, second, third, fourth] = jobs as [string, string, string, string];
  expect(await jsonOf(send("PUT", `jobs/${first}/mark`, { mark: "pick" }))).toEqual({
    id: first,
    mark: "pick",
  });
  const many = { jobs: [second.toUpperCase(), third, third], mark: "reject" };
  expect((await jsonOf<{ marked: string[] }>(send("PUT", "job-marks", many))).marked.toSorted()).toEqual(
    [second, third].toSorted(),
  );
  expect(await marksOf(`batch=${batch}`)).toEqual([
    ...([
      [fourth, null],
      [third, "reject"],
      [second, "reject"],
      [first, "pick"],
    ] as const),
  ]);
  expect(await marksOf(`batch=${batch}&mark=reject`)).toEqual([
    [third, "reject"],
    [second, "reject"],
  ]);
  expect(await marksOf(`batch=${batch}&mark=none`)).toEqual([[fourth, null]]);
  expect(await marksOf("mark=pick&limit=200")).toContainEqual([first, "pick"]);
  expect(await jsonOf(send("GET", `jobs/${first}`))).toMatchObject({ mark: "pick" });

  await send("PUT", `jobs/${first}/mark`, { mark: "reject" });
  expect(await marksOf(`batch=${batch}&mark=pick`)).toEqual([]);
  await send("PUT", "job-marks", { jobs: [first, second], mark: null });
  expect(await marksOf(`batch=${batch}&mark=reject`)).toEqual([[third, "reject"]]);
});

test("another tenant's jobs are as unknown as jobs that do not exist", async () => {
  const { jobs } = await batchOf(1);
  const job = jobs[0]!;
  expect((await send("PUT", `jobs/${job}/mark`, { mark: "pick" }, keys.other)).status).toBe(404);
  expect(await jsonOf(send("PUT", "job-marks", { jobs: [job], mark: "pick" }, keys.other))).toEqual({
    ...{ mark: "pick", marked: [], unknown: [job] },
  });
  expect(await jsonOf(send("GET", `jobs/${job}`))).toMatchObject({ mark: null });
  await send("PUT", `jobs/${job}/mark`, { mark: "pick" });
  await send("PUT", "job-marks", { jobs: [job], mark: null }, keys.other);
  expect(await jsonOf(send("GET", `jobs/${job}`))).toMatchObject({ mark: "pick" });
});

test("many people mark the same jobs at the same time", async () => {
  const { jobs } = await batchOf(40);
  const answers = await Promise.all(
    Array.from({ length: 24 }, (_, index) =>
      send("PUT", "job-marks", {
        jobs: index % 2 === 0 ? jobs : jobs.toReversed(),
        mark: (["pick", "reject", null] as const)[index % 3],
      }),
    ),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
});

test("a removed job takes its mark with it", async () => {
  const { id: batch, jobs } = await batchOf(2);
  await send("PUT", "job-marks", { jobs, mark: "reject" });
  await send("POST", `batches/${batch}/cancel`);
  expect((await send("DELETE", `jobs/${jobs[0]!}`)).status).toBe(204);
  expect((await send("PUT", `jobs/${jobs[0]!}/mark`, { mark: "pick" })).status).toBe(410);
  expect((await marksOf(`batch=${batch}`)).map(([id]) => id)).toEqual([jobs[1]]);
  expect((await send("DELETE", `batches/${batch}`)).status).toBe(204);
});

test("what has happened to a job is answered page by page", async () => {
  const { jobs } = await batchOf(1);
  const job = jobs[0]!;
  for (const change of ["pause", "resume", "cancel"]) await send("POST", `jobs/${job}/${change}`);
  interface History {
    events: { type: string; sequence: number }[];
    nextAfter: number | null;
  }
  const first = await jsonOf<History>(send("GET", `jobs/${job}/history?limit=3`));
  expect(first.events.map(({ type }) => type)).toEqual(["accepted", "paused", "resumed"]);
  expect(first.nextAfter).toBe(3);
  const rest = await jsonOf<History>(send("GET", `jobs/${job}/history?after=3`));
  expect(rest.events.map(({ type }) => type)).toEqual(["cancelled"]);
  expect(rest.nextAfter).toBeNull();
  expect((await send("GET", `jobs/${job}/history`, undefined, keys.other)).status).toBe(404);
});

test("the rejected jobs of a batch are made again with new seeds, once for each key", async () => {
  const job = { type: "image", prompt: "a cat", seed: 7, tags: ["night"], priority: "low" };
  const batch = { name: "cats", project: "opening", jobs: [job, job, job] };
  const first = await jsonOf<{ id: string; jobs: { id: string }[] }>(send("POST", "batches", batch));
  const rejected = first.jobs.slice(1).map(({ id }) => id);
  await send("PUT", "job-marks", { jobs: rejected, mark: "reject" });
  const again = async (key: string, body: object = { mark: "reject" }): Promise<Response> =>
    api.request(`batches/${first.id}/rerun`, {
      method: "POST",
      headers: { "x-api-key": keys.studio, "idempotency-key": key, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const [one, other] = [await again("a"), await again("a")];
  expect([one.status, other.status]).toEqual([202, 202]);
  const made = (await one.json()) as { id: string; name: string; jobs: { id: string }[] };
  expect(made).toMatchObject({ name: "cats again" });
  expect(await other.json()).toMatchObject({ id: made.id });
  const seeds = new Set<unknown>();
  for (const [index, { id }] of made.jobs.entries()) {
    const { parameters } = await jsonOf<{ parameters: object }>(send("GET", `jobs/${id}/parameters`));
    seeds.add((parameters as { seed: number }).seed);
    expect(await jsonOf(send("GET", `jobs/${id}`))).toMatchObject({
      ...{ rerunOf: rejected[index], tags: ["night"], priority: "low", batchId: made.id, mark: null },
    });
  }
  expect([seeds.size, seeds.has(7)]).toEqual([2, false]);
  expect(await jsonOf(send("GET", `batches/${made.id}`))).toMatchObject({ project: "opening", total: 2 });

  const nothing = await again("b", { mark: "pick" });
  expect(nothing.status).toBe(422);
  expect(await nothing.json()).toMatchObject({ problems: [{ path: "mark" }] });
  const strange = await send("POST", `batches/${first.id}/rerun`, { mark: "reject" }, keys.other);
  expect(strange.status).toBe(404);
});
