import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ApiClient, sleepWorkflow } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// One worker, one simulated server with two slots; every job is a job of its own, so the tests share them.

let stack: TestStack;
let api: ApiClient;

beforeAll(async () => {
  stack = await startTestStack();
  ({ api } = stack);
}, 180_000);

afterAll(async () => {
  await stack.stop();
}, 180_000);

const submit = (
  seconds: number,
  options: Parameters<typeof sleepWorkflow>[1] = {},
  more: object = {},
): Promise<string> => api.submit({ type: "workflow", workflow: sleepWorkflow(seconds, options), ...more });
const executionCount = async (): Promise<number> => (await stack.simulators[0]!.executions()).length;
const image = { type: "image", prompt: "a paper crane", width: 256, height: 256, steps: 2 };

describe("a job's life", () => {
  test("shows progress that never goes back, and tells every phase as an event without a gap", async () => {
    const id = await submit(1);
    const percents: number[] = [];
    const sequences: number[] = [];
    for await (const frame of api.events(id)) {
      const text = JSON.stringify(frame.data);
      const percent = /"percent":([\d.]+)/.exec(text)?.[1];
      if (percent !== undefined) percents.push(Number(percent));
      if (frame.id !== undefined) sequences.push(Number(frame.id));
    }
    expect(percents.length).toBeGreaterThan(3);
    expect(percents).toEqual([...percents].sort((one, other) => one - other));
    expect(sequences).toEqual([...new Set(sequences)].sort((one, other) => one - other));
    expect(await api.job(id)).toMatchObject({ status: "completed", progress: { percent: 100 } });
  });

  test("tells within a second which node runs, also where it begins right after the last step of another", async () => {
    const nodes = sleepWorkflow(0.5, { steps: 50 });
    const blocking = sleepWorkflow(3, { blocking: true })["2"]!;
    const workflow = {
      ...nodes,
      "3": { ...blocking, inputs: { ...blocking.inputs, image: ["2", 0] } },
      "4": { class_type: "SaveImage", inputs: { images: ["3", 0], filename_prefix: "told" } },
    };
    const id = await api.submit({ type: "workflow", workflow });
    const told: { node: unknown; at: number }[] = [];
    for await (const frame of api.events(id)) {
      const { progress } = frame.data as { progress?: { node: unknown } };
      if (frame.event === "progress") told.push({ node: progress?.node, at: performance.now() });
    }
    const steps = told.findLast(({ node }) => node === "2");
    const sleep = told.find(({ node }) => node === "3");
    expect(sleep?.at).toBeGreaterThan(steps!.at);
    expect(sleep!.at - steps!.at).toBeLessThan(1_000);
  }, 180_000);

  test("keeps the next prompt waiting in the server's own queue while the first runs", async () => {
    const ids = await Promise.all([submit(1), submit(1), submit(1)]);
    await Promise.race(ids.map((id) => api.until(id, (job) => job.phase === "executing")));
    const phases = (await Promise.all(ids.map((id) => api.job(id)))).map(
      (job) => `${job.status} ${job.phase ?? ""}`,
    );
    expect(phases.filter((phase) => phase.startsWith("processing")).length).toBe(2);
    expect(phases.filter((phase) => phase === "queued waiting").length).toBe(1);
    await Promise.all(ids.map((id) => api.untilEnded(id)));
  });

  test("cancels a queued, a waiting and a running job, and never another one", async () => {
    const running = await submit(30, { steps: 300 });
    await api.until(running, (job) => job.phase === "executing");
    const waiting = await submit(30, { steps: 300 });
    await api.until(waiting, (job) => job.phase === "submitted");
    const queued = await submit(30, { steps: 300 });
    const bystander = await submit(0.1);

    expect(await api.cancel(queued)).toBe(202);
    expect((await api.job(queued)).status).toBe("cancelled");
    expect(await api.cancel(waiting)).toBe(202);
    expect((await api.untilEnded(waiting)).status).toBe("cancelled");
    expect((await api.job(running)).status).toBe("processing");
    expect(await api.cancel(running)).toBe(202);
    expect((await api.untilEnded(running)).status).toBe("cancelled");
    expect((await api.untilEnded(bystander)).status).toBe("completed");
    expect(await api.cancel(bystander)).toBe(409);
  });

  test("a job past its deadline is interrupted and times out", async () => {
    const job = await api.untilEnded(await submit(30, { steps: 300 }, { timeoutMs: 1_000 }));
    expect(job).toMatchObject({ status: "timeout", failure: { class: "deadline", code: "deadline-passed" } });
  });

  test("a node that raised fails the job, and is tried again as often as the job asks", async () => {
    const job = await api.untilEnded(await submit(0, { fails: true }, { attemptsMax: 2 }));
    expect(job).toMatchObject({ status: "failed", attempt: 2, failure: { class: "execution", nodeId: "2" } });
  });

  test("a node's whole exception is kept with the attempt, and the line that tells with the job", async () => {
    const workflow = sleepWorkflow(0, { fails: true });
    const message = "Error(s) in loading state_dict for RRDBNet:\n\tMissing key(s) in state_dict: a\n\tand b";
    workflow["2"]!.inputs["message"] = message;
    const job = await api.untilEnded(await api.submit({ type: "workflow", workflow }));
    expect(job.failure?.message).toMatch(/RRDBNet: Missing key\(s\) in state_dict: a$/);
    const attempts = await (await api.request("GET", `jobs/${job.id}/attempts`)).json();
    expect(attempts).toMatchObject({ attempts: [{ failure: { exceptionMessage: message } }] });
  });

  test("a job that ran out of memory gets one more try", async () => {
    await stack.simulators[0]!.fault({ kind: "out-of-memory", next: 1 });
    const job = await api.untilEnded(await api.submit(image));
    expect(job).toMatchObject({ status: "completed", attempt: 2 });
  });

  test.each([
    ["missing-output", "output-missing"],
    ["empty-output", "output-empty"],
    ["truncate-output", "output-truncated"],
  ])("an output that cannot be fetched (%s) fails the job with that reason", async (fault, code) => {
    await stack.simulators[0]!.fault({ kind: fault, next: 1 });
    const job = await api.untilEnded(await submit(0.05));
    expect(job).toMatchObject({ status: "failed", failure: { code } });
    expect(job.failure?.message).toMatch(/sleep/);
    expect(await api.outputs(job.id)).toEqual([]);
  });

  test.each(["lose-next-prompt-reply", "error-after-queueing"])(
    "a POST without a good reply (%s) is looked up, not sent again",
    async (fault) => {
      const before = await executionCount();
      await stack.simulators[0]!.fault({ kind: fault, next: 1 });
      const job = await api.untilEnded(await submit(0.2));
      expect(job).toMatchObject({ status: "completed", attempt: 1 });
      expect(await executionCount()).toBe(before + 1);
    },
  );

  test("goes on when its socket breaks in mid-run", async () => {
    const before = await executionCount();
    const id = await submit(1);
    await api.until(id, (job) => job.phase === "executing");
    await stack.simulators[0]!.fault({ kind: "drop-sockets" });
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await executionCount()).toBe(before + 1);
  });

  test("is requeued, uncharged, when its server restarts and forgets it", async () => {
    const id = await submit(2, { steps: 20 });
    await api.until(id, (job) => job.phase === "executing");
    await stack.simulators[0]!.fault({ kind: "restart", downMs: 300 });
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2, failure: null });
  });

  test("a text that a node returned is an output", async () => {
    const workflow = {
      "1": { class_type: "ProtoText", inputs: { text: "こんにちは", progress_text: false } },
    };
    const id = await api.submit({ type: "workflow", workflow });
    expect((await api.untilEnded(id)).status).toBe("completed");
    const [output] = await api.outputs(id);
    expect(output).toMatchObject({
      kind: "text",
      text: "こんにちは",
      mediaType: expect.stringContaining("text/plain"),
    });
  });

  test("an animated workflow's mp4 is stored with its size and duration", async () => {
    const id = await api.submit({
      type: "video",
      prompt: "koi in a pond",
      durationSeconds: 1,
      fps: 8,
      width: 256,
      height: 256,
      steps: 2,
    });
    expect((await api.untilEnded(id)).status).toBe("completed");
    const video = (await api.outputs(id)).find((output) => output.mediaType === "video/mp4");
    expect(video).toMatchObject({ width: 256, height: 256 });
    expect(Math.abs((video?.durationMs ?? 0) - 1_000)).toBeLessThan(150);
  });

  test("a batch is cancelled as a whole, and nothing of it goes on", async () => {
    const jobs = Array.from({ length: 20 }, () => ({
      type: "workflow",
      workflow: sleepWorkflow(30, { steps: 300 }),
    }));
    const { id, jobIds } = await api.submitBatch(jobs);
    await api.until(jobIds[0]!, (job) => job.phase === "executing");
    expect((await api.request("POST", `batches/${id}/cancel`)).status).toBe(202);
    await Promise.all(jobIds.map((jobId) => api.untilEnded(jobId)));
    expect((await api.batch(id)).counts).toMatchObject({ cancelled: 20 });
    expect((await api.untilEnded(await submit(0))).status).toBe("completed");
  });

  test("the failed jobs of a batch are tried again on request", async () => {
    const { id, jobIds } = await api.submitBatch([
      { type: "workflow", workflow: sleepWorkflow(0) },
      { type: "workflow", workflow: sleepWorkflow(0, { fails: true }) },
    ]);
    await Promise.all(jobIds.map((jobId) => api.untilEnded(jobId)));
    const retried = await api.request("POST", `batches/${id}/retry`);
    expect(await retried.json()).toMatchObject({ retried: 1 });
    expect(await api.untilEnded(jobIds[1]!)).toMatchObject({ status: "failed", attempt: 2 });
    const attempts = await (await api.request("GET", `jobs/${jobIds[1]!}/attempts`)).json();
    expect(attempts).toMatchObject({
      attempts: [
        { number: 1, outcome: "failed", failure: { nodeId: "2" } },
        { number: 2, outcome: "failed", failure: { nodeId: "2" } },
      ],
    });
  });

  test("a job that has not begun to execute by its queue deadline times out, wherever it waits", async () => {
    const running = await submit(30, { steps: 300 });
    await api.until(running, (job) => job.phase === "executing");
    const soon = { expiresAt: new Date(Date.now() + 2_000).toISOString() };
    const [onServer, inQueue] = [await submit(1, {}, soon), await submit(1, {}, soon)];
    for (const id of [onServer, inQueue]) {
      expect(await api.untilEnded(id)).toMatchObject({ status: "timeout", failure: { code: "expired" } });
    }
    expect((await api.job(running)).status).toBe("processing");
    await api.cancel(running);
    await api.untilEnded(running);
  });

  test("a draining server takes nothing new until it is resumed", async () => {
    const servers = (await (await api.request("GET", "servers")).json()) as { servers: { id: string }[] };
    const serverId = servers.servers[0]!.id;
    expect((await api.request("POST", `servers/${serverId}/drain`)).status).toBe(202);
    await stack.workers[0]!.line(/server is draining/);
    const id = await submit(0);
    expect((await api.job(id)).status).toBe("queued");
    expect((await api.request("POST", `servers/${serverId}/resume`)).status).toBe(202);
    expect((await api.untilEnded(id)).status).toBe("completed");
  });
});
