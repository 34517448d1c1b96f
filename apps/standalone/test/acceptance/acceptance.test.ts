import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ComfyUIConnector, validateGraph, workflowSchema } from "@genga/comfyui";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import { WorkflowGenerator } from "@genga/workflows";
import sharp from "sharp";

// The nine tests of the predecessor, by name, each black-box: over HTTP and the public classes, against processes.

let database: TestDatabase;
let stack: Stack;
let api: ApiClient;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url });
  api = new ApiClient(stack.url);
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await database.drop();
}, 180_000);

const image = (more: object = {}): object => ({
  type: "image",
  prompt: "a lighthouse above a sea of clouds, sunset",
  width: 256,
  height: 256,
  steps: 4,
  ...more,
});

async function decoded(outputId: string): Promise<{ width: number; height: number; format: string }> {
  const { data, info } = await sharp(await api.download(outputId))
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect(data.length).toBe(info.width * info.height * info.channels);
  const { format } = await sharp(await api.download(outputId)).metadata();
  return { width: info.width, height: info.height, format };
}

describe("acceptance", () => {
  test("ComfyUI Connectivity: the connector talks to a server and sees its nodes", async () => {
    const connector = new ComfyUIConnector({ baseUrl: stack.simulators[0]!.url });
    try {
      const stats = await connector.makeRequest("GET", "/system_stats");
      expect(stats).toHaveProperty("system.comfyui_version");
      const definitions = await connector.objectInfo();
      expect(definitions).toHaveProperty("KSampler");
      await connector.connect();
      expect(connector.isConnected).toBe(true);
    } finally {
      await connector.close();
    }
    const health = await api.request("GET", "health");
    expect(health.status).toBe(200);
  });

  test("Workflow Generation: image and video parameters become graphs that the server accepts", async () => {
    const connector = new ComfyUIConnector({ baseUrl: stack.simulators[0]!.url });
    try {
      const definitions = await connector.objectInfo();
      const generator = new WorkflowGenerator();
      const graphs = [
        generator.createImageWorkflow({ prompt: "a fox in the snow", seed: 7 }),
        generator.createVideoWorkflow({ prompt: "a fox in the snow", seed: 7, durationSeconds: 2, fps: 8 }),
      ].map((graph) => workflowSchema.parse(graph));
      for (const graph of graphs) expect(validateGraph(graph, definitions).errors).toEqual([]);
    } finally {
      await connector.close();
    }
  });

  test("Job Submission & Tracking: an accepted job is visible at once and followed to its end", async () => {
    const id = await api.submit(image());
    expect((await api.job(id)).id).toBe(id);
    const job = await api.untilEnded(id);
    expect(job).toMatchObject({ status: "completed", progress: { percent: 100 } });
  });

  test("Concurrent Jobs: jobs submitted side by side all end with their own outputs", async () => {
    const ids = await Promise.all([1, 2, 3, 4].map((seed) => api.submit(image({ seed }))));
    const jobs = await Promise.all(ids.map((id) => api.untilEnded(id)));
    expect(jobs.map((job) => job.status)).toEqual(ids.map(() => "completed"));
    const outputs = await Promise.all(ids.map((id) => api.outputs(id)));
    expect(new Set(outputs.flat().map((output) => output.sha256)).size).toBe(4);
  });

  test("Error Handling: bad parameters are refused by name, and a failing node fails its job with its reason", async () => {
    const refused = await api.request("POST", "generate", image({ width: 100, steps: 1000, colour: "red" }));
    expect(refused.status).toBe(422);
    expect(refused.headers.get("content-type")).toContain("application/problem+json");
    const problem = JSON.stringify(await refused.json());
    for (const name of ["width", "steps", "colour"]) expect(problem).toContain(name);

    const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0, { fails: true }) });
    const job = await api.untilEnded(id);
    expect(job).toMatchObject({ status: "failed", failure: { nodeId: "2", nodeType: "ProtoFail" } });
    expect(job.failure?.message).toContain("boom");
  });

  test("Output Retrieval: outputs are listed, downloaded, and decode to what was asked for", async () => {
    const id = await api.submit(image({ width: 512, height: 256 }));
    await api.untilEnded(id);
    const [output, ...others] = await api.outputs(id);
    expect(others).toEqual([]);
    expect(output).toMatchObject({ kind: "file", mediaType: "image/png", width: 512, height: 256 });
    expect(await decoded(output!.id)).toEqual({ width: 512, height: 256, format: "png" });
  });

  test("Job Persistence: a job and its outputs are there after the API was killed and started again", async () => {
    const id = await api.submit(image());
    await api.untilEnded(id);
    const [first] = stack.apis;
    first!.signal("SIGKILL");
    await first!.exited;
    const second = await stack.startApi();
    stack.apis.splice(stack.apis.indexOf(first!), 1);
    api = new ApiClient(String(second.details["url"]));
    expect(await api.job(id)).toMatchObject({ id, status: "completed" });
    const [output] = await api.outputs(id);
    expect(await decoded(output!.id)).toMatchObject({ format: "png" });
  });

  test("API Job Status: GET job/{id} tells every state, equals jobs/{id}, and 404s only for unknown ids", async () => {
    const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(1, { steps: 10 }) });
    const seen = new Set<string>([(await api.job(id)).status]);
    const executing = await api.until(id, (job) => job.phase === "executing");
    seen.add(executing.status);
    seen.add((await api.untilEnded(id)).status);
    expect([...seen].filter((status) => status !== "queued")).toEqual(["processing", "completed"]);
    const [one, other] = await Promise.all(
      ["job", "jobs"].map(async (path) => (await api.request("GET", `${path}/${id}`)).json()),
    );
    expect(one).toEqual(other);
    expect((await api.request("GET", "job/0190aaaa-0000-7000-8000-000000000000")).status).toBe(404);
  });

  test("Stress Test: ten jobs submitted at once all complete, with decodable files", async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, (_, seed) => api.submit(image({ seed }))));
    const jobs = await Promise.all(ids.map((id) => api.untilEnded(id)));
    expect(jobs.map((job) => job.status)).toEqual(ids.map(() => "completed"));
    const outputs = (await Promise.all(ids.map((id) => api.outputs(id)))).flat();
    expect(outputs).toHaveLength(10);
    const files = await Promise.all(outputs.map((output) => decoded(output.id)));
    expect(files).toEqual(outputs.map(() => ({ width: 256, height: 256, format: "png" })));
  }, 180_000);
});

describe("reuse", () => {
  const send = async (
    path: string,
    body: object,
    key?: string,
  ): Promise<{ status: number; answer: Answer }> => {
    const response = await fetch(new URL(`/api/anime/${path}`, stack.apis[0]!.details["url"] as string), {
      method: "POST",
      headers: { "content-type": "application/json", ...(key !== undefined && { "idempotency-key": key }) },
      body: JSON.stringify(body),
    });
    return { status: response.status, answer: (await response.json()) as Answer };
  };
  const shaOf = async (id: string): Promise<(string | undefined)[]> =>
    (await api.outputs(id)).map(({ sha256 }) => sha256);

  test("answers a job from the completed one with the same graph, which may then be removed", async () => {
    const upload = await fetch(new URL("/api/anime/uploads", stack.apis[0]!.details["url"] as string), {
      method: "POST",
      headers: { "content-type": "image/png" },
      body: await sharp({ create: { width: 64, height: 64, channels: 3, background: "#246" } })
        .png()
        .toBuffer(),
    });
    const { id: initImage } = (await upload.json()) as Answer;
    const body = image({ seed: 4_711, initImage });
    const source = await api.submit(body);
    await api.untilEnded(source);

    expect((await send("generate", { ...body, seed: 4_712, reuse: true })).answer.status).toBe("queued");
    const first = await send("generate", { ...body, reuse: true, project: "again" }, "once-more");
    expect(first).toMatchObject({ status: 202, answer: { status: "completed", reusedFrom: source } });
    const { id } = first.answer;
    const job = await (await api.request("GET", `jobs/${id}`)).json();
    expect(job).toMatchObject({
      status: "completed",
      reusedFrom: source,
      attempt: 0,
      server: null,
      project: "again",
    });
    expect(await (await api.request("GET", `jobs/${id}/attempts`)).json()).toMatchObject({ attempts: [] });
    const events: unknown[] = [];
    for await (const frame of api.events(id, { lastEventId: "0" }))
      if (frame.event === "event") events.push(frame.data);
    expect(events).toMatchObject([
      { sequence: 1, type: "accepted" },
      { sequence: 2, type: "completed", data: { reusedFrom: source, outputs: 1 } },
    ]);
    expect(await shaOf(id)).toEqual(await shaOf(source));

    const swept = await send("batches", {
      sweep: { base: body, vary: { seed: [4_711, 4_713] } },
      reuse: true,
    });
    expect(swept.answer.jobs?.map(({ status }) => status)).toEqual(["completed", "queued"]);

    expect((await api.request("DELETE", `jobs/${source}`)).status).toBe(204);
    const replayed = await send("generate", { ...body, reuse: true, project: "again" }, "once-more");
    expect(replayed.answer).toEqual(first.answer);
    const [output] = await api.outputs(id);
    expect(await decoded(output!.id)).toEqual({ width: 256, height: 256, format: "png" });
    const third = await send("generate", { ...body, reuse: true });
    expect(third.answer.status).toBe("completed");
    expect([id, swept.answer.jobs?.[0]?.id]).toContain(third.answer.reusedFrom);
  }, 180_000);
});

interface Answer {
  id: string;
  status: string;
  reusedFrom?: string;
  jobs?: { id: string; status: string }[];
}
