import { v7 as uuidv7 } from "uuid";
import { type Job, type NewJob } from "@genga/jobs";
import { buildJob, buildLane, buildOutput, buildWorkflow } from "../job-builders.ts";
import { type ContractStores, type TestRunner } from "./contract-stores.ts";
import { prepareJobs, requeue } from "./prepare-jobs.ts";

/** What every `JobReader` must do. Registers the tests; `open` returns stores over an empty, migrated database. */
export function describeJobReader(runner: TestRunner, open: () => Promise<ContractStores>): void {
  const { describe, expect, test } = runner;
  const { freshTenant, freshServer, insertJobs, insert, claim, running, read, readerOf, types, stores } =
    prepareJobs(runner, open);

  describe("reading", () => {
    test.each([["01890000-0000-7000-8000-000000000000"], ["no-uuid"], [""]])(
      "finds nothing under the id %p",
      async (id) => {
        const reader = stores().jobReader.of(await freshTenant());
        expect(await reader.findJob(id)).toBeNull();
        expect(await reader.findParameters(id)).toBeNull();
        expect(await reader.findBatch(id)).toBeNull();
        expect(await reader.findOutput(id)).toBeNull();
        expect(await reader.findOutputs([id])).toEqual([]);
        expect(await reader.findFilesAt([{ jobId: id, index: 0 }])).toEqual([]);
        expect(await reader.findNodeClasses(id, 10)).toEqual(new Map());
        expect(await reader.listEvents(id, 0, 10)).toEqual([]);
        expect(await reader.listOutputs(id)).toEqual([]);
        expect(await reader.listAttempts(id)).toEqual([]);
      },
    );

    test("shows a job, and everything that belongs to it, only to its tenant", async () => {
      const [tenantId, ...others] = [await freshTenant(), await freshTenant(), "no-uuid"];
      const batch = { id: uuidv7(), name: null };
      const raw = buildJob({ type: "workflow", batchIndex: 0 });
      const [job] = await insertJobs({ tenantId, batch, jobs: [raw] });
      if (job === undefined) throw new Error("The job was not returned.");
      const [lease] = await claim(job, 1, await freshServer());
      if (lease === undefined) throw new Error("The job could not be claimed.");
      await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [buildOutput()] });
      const [output] = await readerOf(job.id).listOutputs(job.id);
      const partsSeenBy = async (id: string): Promise<Record<string, boolean>> => {
        const reader = stores().jobReader.of(id);
        return {
          job: (await reader.findJob(job.id)) !== null,
          jobs: (await reader.findJobs([job.id])).length > 0,
          parameters: (await reader.findParameters(job.id)) !== null,
          prompts: (await reader.findPrompts([job.id])).size > 0,
          shown: (await reader.findShown([job.id], ["image/png"])).size > 0,
          page: (await reader.listJobs({ batchId: batch.id, limit: 5 })).items.length > 0,
          batch: (await reader.findBatch(batch.id)) !== null,
          events: (await reader.listEvents(job.id, 0, 5)).length > 0,
          outputs: (await reader.listOutputs(job.id)).length > 0,
          output: (await reader.findOutput(output?.id ?? "")) !== null,
          files: (await reader.findFilesAt([{ jobId: job.id, index: 0 }])).length > 0,
          nodeClasses: (await reader.findNodeClasses(job.id, 10)).size > 0,
          someOutputs: (await reader.findOutputs(["no-uuid", output?.id ?? ""])).length > 0,
          attempts: (await reader.listAttempts(job.id)).length > 0,
          classes: (await reader.listClassesToRetry({ jobId: job.id })).length > 0,
          counts: (await reader.summarizeQueue()).counts.completed > 0,
        };
      };
      const own = await partsSeenBy(tenantId);
      expect(new Set(Object.values(own))).toEqual(new Set([true]));
      for (const other of others) {
        expect(await partsSeenBy(other)).toEqual(
          Object.fromEntries(Object.keys(own).map((part) => [part, false])),
        );
      }
      await stores().jobRequests.removeJob(job.id);
      expect(await stores().jobReader.of(tenantId).findJob(job.id)).toBe("removed");
      for (const other of others) expect(await stores().jobReader.of(other).findJob(job.id)).toBeNull();
    });

    test("returns the prompts of any number of jobs", async () => {
      const tenantId = await freshTenant();
      const reader = stores().jobReader.of(tenantId);
      const parameters = { prompt: "桜の下の少女 🌸", negativePrompt: "dogs" };
      const image = await insert(buildJob({ parameters }), tenantId);
      const workflow = buildWorkflow("w".repeat(600));
      const raw = await insert(buildJob({ type: "workflow", workflow, parameters: {} }), tenantId);
      const none = await insert(buildJob({ type: "workflow", workflow: "{}", parameters: null }), tenantId);
      const found = await reader.findPrompts([uuidv7(), raw.id, "none", image.id, none.id]);
      expect(Object.fromEntries(found)).toEqual({
        [image.id]: parameters,
        [raw.id]: { prompt: `${"w".repeat(499)}…`, negativePrompt: null },
        [none.id]: { prompt: null, negativePrompt: null },
      });
      expect(await reader.findPrompts([])).toEqual(new Map());
    });

    test("returns what views show of jobs: the model, and whether there is a picture", async () => {
      const tenantId = await freshTenant();
      const reader = stores().jobReader.of(tenantId);
      const image = await insert(
        buildJob({ parameters: { prompt: "a cat", model: "m.safetensors" } }),
        tenantId,
      );
      const raw = await insert(
        buildJob({ type: "workflow", parameters: { model: "not a model" } }),
        tenantId,
      );
      const [lease] = await claim(image, 1, await freshServer());
      if (lease === undefined) throw new Error("The job could not be claimed.");
      const seen = async (type: string): Promise<unknown[]> => {
        const found = await reader.findShown([image.id, raw.id], [type]);
        return [image, raw].map(({ id }) => [found.get(id)?.model, found.get(id)?.hasPicture]);
      };
      expect(await seen("image/png")).toEqual([
        ["m.safetensors", false],
        [null, false],
      ]);
      const output = buildOutput({ mediaType: "image/png" });
      await stores().jobRuns.endAttempt(lease, { kind: "completed", outputs: [output] });
      expect(await seen("image/png")).toEqual([
        ["m.safetensors", true],
        [null, false],
      ]);
      expect(await seen("video/mp4")).toEqual([
        ["m.safetensors", false],
        [null, false],
      ]);
    });

    test("pages through a tenant's jobs, newest first, each exactly once", async () => {
      const tenantId = await freshTenant();
      const ids: string[] = [];
      for (let index = 0; index < 7; index += 1) ids.push((await insert(buildJob(), tenantId)).id);
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page = await stores()
          .jobReader.of(tenantId)
          .listJobs({ limit: 3, ...(cursor !== null && { cursor }) });
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      } while (cursor !== null);
      expect(seen).toEqual(ids.toReversed());
    });

    test.each(["x", "", "AAAA", "not a cursor at all", "AaIEd0LpchWpms8zNUFYsw=="])(
      "refuses the cursor %p as a problem of the field `cursor`",
      async (cursor) => {
        const reader = stores().jobReader.of(await freshTenant());
        await expect(reader.listJobs({ limit: 1, cursor })).rejects.toMatchObject({
          code: "invalid-job",
          problems: [{ path: "cursor", received: cursor }],
        });
      },
    );

    test("filters by status, type, batch, project, tag and text", async () => {
      const tenantId = await freshTenant();
      const batch = { id: uuidv7(), name: null };
      const [video] = await insertJobs({
        tenantId,
        batch,
        jobs: [buildJob({ type: "video", batchIndex: 0, project: "opening", tags: ["cut-1", "draft"] })],
      });
      const plain = await insert(buildJob({ prompt: "Only 50% of_the \\ Sky" }), tenantId);
      await stores().jobRequests.requestCancel(plain.id);
      const ids = async (filter: object): Promise<string[]> =>
        (
          await stores()
            .jobReader.of(tenantId)
            .listJobs({ limit: 10, ...filter })
        ).items.map(({ id }) => id);
      for (const filter of [
        { statuses: ["queued"] },
        { types: ["video", "workflow"] },
        { batchId: batch.id },
        { project: "opening" },
        { tag: "draft" },
        { text: "CHERRY" },
      ]) {
        expect(await ids(filter)).toEqual([video?.id]);
      }
      for (const filter of [
        { statuses: ["cancelled", "failed"] },
        { types: ["image"] },
        { text: "50% of_the \\ sky" },
      ]) {
        expect(await ids(filter)).toEqual([plain.id]);
      }
      for (const filter of [
        { statuses: [] },
        { text: "5_%" },
        { tag: "cut" },
        { tag: "draft\0" },
        { text: "cherry\0" },
        { batchId: "no-uuid" },
      ]) {
        expect(await ids(filter)).toEqual([]);
      }
    });

    test("finds the prompt of a raw graph", async () => {
      const tenantId = await freshTenant();
      const workflow = buildWorkflow("a lighthouse at dusk");
      const job = await insert(buildJob({ type: "workflow", parameters: {}, workflow }), tenantId);
      const page = await stores().jobReader.of(tenantId).listJobs({ text: "LIGHTHOUSE", limit: 5 });
      expect(page.items.map(({ id }) => id)).toEqual([job.id]);
    });

    test("counts a tenant's jobs by status and lane, and returns how long the oldest has waited", async () => {
      const tenantId = await freshTenant();
      expect(await stores().jobReader.of(tenantId).summarizeQueue()).toMatchObject({
        lanes: [],
        oldestQueuedAt: null,
      });
      const [first] = [
        await insert(buildJob({ lane: buildLane("a") }), tenantId),
        await insert(buildJob(), tenantId),
      ];
      const taken = await insert(buildJob({ lane: buildLane("a") }), tenantId);
      await claim(taken, 1, await freshServer());
      await stores().jobRequests.requestCancel((await insert(buildJob(), tenantId)).id);
      expect(await stores().jobReader.of(tenantId).summarizeQueue()).toEqual({
        counts: { queued: 2, processing: 1, completed: 0, failed: 0, timeout: 0, cancelled: 1 },
        lanes: [
          { lane: "a", queued: 1, processing: 1 },
          { lane: "default", queued: 1, processing: 0 },
        ],
        oldestQueuedAt: first.createdAt,
      });
    });

    test("counts the jobs that are served before a job: lower bands first, then lower ranks of its lane", async () => {
      const tenantId = await freshTenant();
      const lane = buildLane(`lane-${uuidv7()}`);
      const of = (priority: NewJob["priority"]): Promise<Job> =>
        insert(buildJob({ lane, priority }), tenantId);
      const low = await of("low");
      const [first, second] = [await of("normal"), await of("normal")];
      const urgent = await of("urgent");
      const before = (job: Job): Promise<{ own: number; others: number }> =>
        readerOf(job.id).countJobsBefore(job);
      const own = async (job: Job): Promise<number> => (await before(job)).own;
      expect(await Promise.all([urgent, first, second, low].map(own))).toEqual([0, 1, 2, 3]);
      const other = await insert(buildJob({ lane, priority: "low" }));
      expect((await before(other)).others).toBeGreaterThanOrEqual(3);
      await stores().jobRequests.requestCancel(urgent.id);
      expect(await own(low)).toBe(2);
      expect(await before(await read(urgent.id))).toMatchObject({ own: 0, others: 0 });
    });

    test("reads a history from any sequence on, in bounded parts", async () => {
      const lease = await running();
      await stores().jobRuns.endAttempt(lease, requeue());
      expect(await types(lease.jobId)).toEqual(["accepted", "claimed", "requeued"]);
      expect(await readerOf(lease.jobId).listEvents(lease.jobId, 1, 1)).toMatchObject([
        { sequence: 2, type: "claimed" },
      ]);
      expect(await readerOf(lease.jobId).listEvents(lease.jobId, 3, 10)).toEqual([]);
    });
  });
}
