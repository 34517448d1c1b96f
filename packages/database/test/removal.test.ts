import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { type Job, type NewJob, type NewTemplateVersion, type Upload, uploadStorageKey } from "@genga/jobs";
import { buildFailure, buildJob, buildOutput, buildWorkflow } from "@genga/testing";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let tenantId: string;
let client: pg.Client;

beforeAll(async () => {
  stores = await openTestStores();
  tenantId = (await stores.tenants.defaultTenant()).id;
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

async function insert(jobs: NewJob[], batchName?: string): Promise<Job[]> {
  const batch = batchName === undefined ? null : { id: uuidv7(), name: batchName };
  return await stores.jobRequests.insertJobs({ tenantId, batch, jobs });
}

/** Runs a job to its success or failure. */
async function run(id: string, as: "completed" | "failed" = "completed"): Promise<void> {
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  const claim = { jobId: id, attempt: 1, ticketNumber: 0, serverId: server!.id, promptId: uuidv7() };
  const [lease] = await stores.jobRuns.claimJobs([{ ...claim, workerId: "w", clientId: "c" }], 60_000);
  await stores.jobRuns.endAttempt(
    lease!,
    as === "completed"
      ? { kind: as, outputs: [buildOutput(), textOutput(`${id} said something`)], warnings: [`warned ${id}`] }
      : { kind: as, failure: buildFailure({ message: `it failed: ${id}` }) },
  );
}

function textOutput(text: string): ReturnType<typeof buildOutput> {
  return buildOutput({ index: 1, kind: "text", filename: null, storageKey: null, text });
}

async function saveUpload(content = uuidv7()): Promise<Upload> {
  const sha256 = createHash("sha256").update(content).digest("hex");
  return await stores.uploads.saveUpload({
    ...{
      tenantId,
      sha256,
      mediaType: "image/png",
      bytes: 10,
      width: 1,
      height: 1,
      frames: 1,
      durationMs: null,
      blake3: null,
    },
  });
}

/** Resolves once a statement of another connection waits for a lock. */
async function untilWaitingForLock(): Promise<void> {
  const waiting =
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  while ((await client.query(waiting)).rowCount === 0);
}

/** Every table with a row that contains one of the texts, in any column. */
async function tablesThatTellOf(texts: string[]): Promise<string[]> {
  const { rows: tables } = await client.query<{ name: string }>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const { rows } = await client.query<{ text: string }>(
      `SELECT told.text FROM unnest($1::text[]) AS told(text)
       WHERE EXISTS (SELECT FROM "${name}" AS t WHERE t::text LIKE '%' || told.text || '%')`,
      [texts],
    );
    found.push(...rows.map(({ text }) => `${name}: ${text}`));
  }
  return found;
}

describe("A removal leaves", () => {
  test("nothing in any column of any table except the tombstones", async () => {
    const upload = await saveUpload();
    const job = buildJob({
      ...{ prompt: "the one hush prompt", project: "hush project", tags: ["hush-tag"] },
      workflow: JSON.stringify({ "1": { class_type: "Hush", inputs: { text: "hush node text" } } }),
      uploadIds: [upload.id],
    });
    const [inserted] = await insert([job], "the hush batch");
    const id = inserted!.id;
    await run(id);
    const texts = [id, "hush", inserted!.batchId!];
    const before = await tablesThatTellOf(texts);
    expect(before).toEqual(expect.arrayContaining([`jobs: ${id}`, "workflows: hush", "batches: hush"]));
    expect(await stores.jobRequests.removeJob(id)).toEqual({
      id,
      lane: "default",
      attempt: 1,
      ticketNumber: 0,
      keptFiles: [],
    });
    await stores.keeping.finishRemovals([id]);
    await stores.keeping.foldCounts(1_000);
    const tombstones = [`removed_batches: ${inserted!.batchId!}`, `removed_jobs: ${id}`];
    expect(await tablesThatTellOf(texts)).toEqual(tombstones);
    const { rows } = await client.query("SELECT * FROM removed_jobs WHERE id = $1", [id]);
    expect(rows).toEqual([{ id, tenant_id: tenantId, removed_at: expect.any(Date) }]);
  });

  test("what other jobs use: graph and batch are removed with the last of them", async () => {
    const workflow = buildWorkflow("a graph for two");
    const [one, other] = await insert(
      [buildJob({ workflow, batchIndex: 0 }), buildJob({ workflow, batchIndex: 1 })],
      "a batch of two",
    );
    for (const { id } of [one!, other!]) await run(id);
    await stores.jobRequests.removeJob(one!.id);
    expect((await stores.jobReader.of(tenantId).findParameters(other!.id))?.workflow).toContain(
      "a graph for two",
    );
    expect(await stores.jobReader.of(tenantId).findBatch(one!.batchId!)).toMatchObject({
      total: 2,
      counts: { completed: 1 },
    });
    await stores.jobRequests.removeJob(other!.id);
    expect(await tablesThatTellOf(["a graph for two", "a batch of two"])).toEqual([]);
    expect(await stores.jobReader.of(tenantId).findBatch(one!.batchId!)).toBeNull();
  });

  test("a record of tickets and files to remove, until they are removed", async () => {
    const [job] = await insert([buildJob()]);
    await run(job!.id);
    await stores.jobRequests.removeJob(job!.id);
    await client.query("UPDATE pending_removals SET due_at = now() - interval '1 second'");
    const pending = { id: job!.id, lane: "default", attempt: 1, ticketNumber: 0, keptFiles: [] };
    expect(await stores.keeping.listPendingRemovals(100)).toContainEqual(pending);
    await stores.keeping.putOffRemovals([job!.id], 60_000);
    expect(await stores.keeping.listPendingRemovals(100)).not.toContainEqual(pending);
    await stores.keeping.finishRemovals([job!.id]);
    expect(await tablesThatTellOf([job!.id])).toEqual([`removed_jobs: ${job!.id}`]);
  });

  test.each<"completed" | "failed">(["completed", "failed"])(
    "a record of prompts that a server may still have (of a job that %s), until they are deleted",
    async (as) => {
      const [job] = await insert([buildJob()]);
      await run(job!.id, as);
      const { rows } = await client.query<{ prompt: string; server: string }>(
        "SELECT prompt_id AS prompt, server_id AS server FROM job_attempts WHERE job_id = $1",
        [job!.id],
      );
      const { prompt, server } = rows[0]!;
      // Once, although the attempt and the record both name the prompt.
      expect(await stores.jobRuns.findEndedPrompts(server, [prompt])).toEqual([prompt]);
      await stores.jobRequests.removeJob(job!.id);
      expect(await stores.jobRuns.findEndedPrompts(server, [prompt])).toEqual([prompt]);
      await stores.keeping.notePromptsForgotten([prompt]);
      expect(await stores.jobRuns.findEndedPrompts(server, [prompt])).toEqual([]);
    },
  );

  test("removes ended jobs only, many at once", async () => {
    const jobs = await insert(
      Array.from({ length: 30 }, (_, index) => buildJob({ prompt: `many ${index}` })),
    );
    for (const { id } of jobs.slice(0, 20)) await stores.jobRequests.requestCancel(id);
    const removed = await stores.keeping.removeEnded(jobs.map(({ id }) => id));
    expect(removed.map(({ id }) => id)).toEqual(
      jobs
        .slice(0, 20)
        .map(({ id }) => id)
        .sort(),
    );
    expect(await stores.keeping.removeEnded(jobs.slice(0, 20).map(({ id }) => id))).toEqual([]);
    expect(await stores.jobReader.of(tenantId).findJobs(jobs.map(({ id }) => id))).toHaveLength(10);
  });
});

describe("Races:", () => {
  test("two removals at once of the last two jobs with a graph remove the graph", async () => {
    for (let round = 0; round < 20; round += 1) {
      const workflow = buildWorkflow(`removed at once ${round}`);
      const jobs = await insert([buildJob({ workflow }), buildJob({ workflow })], `at once ${round}`);
      for (const { id } of jobs) await stores.jobRequests.requestCancel(id);
      await Promise.all(jobs.map(({ id }) => stores.jobRequests.removeJob(id)));
    }
    expect(await tablesThatTellOf(["removed at once", "at once"])).toEqual([]);
  });

  test("a submission whose graph a removal takes away at that moment is accepted, with its graph", async () => {
    const graphs = Array.from({ length: 4 }, (_, index) => buildWorkflow(`contested ${index}`));
    const accepted: string[] = [];
    const failures: unknown[] = [];
    const submit = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        const workflows = round % 2 === 0 ? graphs : graphs.toReversed();
        try {
          const jobs = await insert(workflows.map((workflow) => buildJob({ workflow })));
          for (const { id } of jobs) await stores.jobRequests.requestCancel(id);
          await stores.keeping.removeEnded(jobs.slice(1).map(({ id }) => id));
          accepted.push(jobs[0]!.id);
          if (round % 3 > 0) await stores.jobRequests.removeJob(jobs[0]!.id);
        } catch (error) {
          failures.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: 5 }, () => submit(30)));
    expect(failures).toEqual([]);
    const left = await stores.jobReader.of(tenantId).findJobs(accepted);
    expect(left.length).toBeGreaterThan(0);
    for (const { id } of left) expect(await stores.jobReader.of(tenantId).findParameters(id)).not.toBeNull();
  });

  test("a large submission finds its graphs again when a removal takes them in between", async () => {
    const graphs = Array.from({ length: 600 }, (_, index) => buildWorkflow(`large ${index}`));
    const first = await insert(
      graphs.map((workflow, batchIndex) => buildJob({ workflow, batchIndex })),
      "first",
    );
    for (const { id } of first) await stores.jobRequests.requestCancel(id);
    const [second] = await Promise.all([
      insert(
        graphs.map((workflow, batchIndex) => buildJob({ workflow, batchIndex })),
        "second",
      ),
      stores.keeping.removeEnded(first.map(({ id }) => id)),
    ]);
    expect(second).toHaveLength(600);
    expect(await stores.jobReader.of(tenantId).findParameters(second[599]!.id)).not.toBeNull();
  }, 180_000);
});

describe("Rows without a use", () => {
  const look = {
    ...{ from: {}, limit: 100_000, graceMs: 3_600_000, uploadsUnusedMs: 3_600_000 },
  };

  test("graphs and batches that a process of an earlier version left are removed after a while", async () => {
    await client.query(
      `INSERT INTO workflows (hash, graph, created_at) VALUES ('old', '{}', now() - interval '2 hours'), ('new', '{}', now())`,
    );
    await client.query(
      `INSERT INTO batches (id, tenant_id, name, total, created_at) VALUES (gen_random_uuid(), $1, 'left over', 1, now() - interval '2 hours')`,
      [tenantId],
    );
    const { removed } = await stores.keeping.removeUnused(look);
    expect(removed).toMatchObject({ graphs: 1, batches: 1 });
    const { rows } = await client.query("SELECT hash FROM workflows WHERE hash IN ('old', 'new')");
    expect(rows).toEqual([{ hash: "new" }]);
  });

  test("a scan goes on where the last page ended, and begins again after the last page", async () => {
    await insert(Array.from({ length: 5 }, (_, index) => buildJob({ prompt: `page ${index}` })));
    const { next } = await stores.keeping.removeUnused({ ...look, limit: 2 });
    const { rows } = await client.query<{ hash: string }>("SELECT hash FROM workflows ORDER BY hash LIMIT 2");
    expect(next.graph).toBe(rows[1]!.hash);
    expect((await stores.keeping.removeUnused(look)).next).toEqual({});
  });

  test("an upload is removed with the last job that names it", async () => {
    const [shared, own] = await Promise.all([saveUpload(), saveUpload()]);
    const [first, last] = await insert([
      buildJob({ uploadIds: [shared.id, own.id] }),
      buildJob({ uploadIds: [shared.id] }),
    ]);
    await client.query("UPDATE job_parameters SET uploads_noted = true");
    const remove = async (id: string): Promise<string[]> => {
      await stores.jobRequests.requestCancel(id);
      await stores.jobRequests.removeJob(id);
      return (await stores.uploads.findUploads(tenantId, [shared.id, own.id])).map((upload) => upload.id);
    };
    expect(await remove(first!.id)).toEqual([shared.id]);
    expect(await remove(last!.id)).toEqual([]);
  });

  test("an upload that was sent again since the removed jobs were submitted stays for the next submission", async () => {
    const content = uuidv7();
    const upload = await saveUpload(content);
    const [first, last] = await insert([1, 2].map(() => buildJob({ uploadIds: [upload.id] })));
    await client.query("UPDATE job_parameters SET uploads_noted = true");
    await client.query(`UPDATE jobs SET created_at = now() - interval '2 hours' WHERE id = ANY($1)`, [
      [first!.id, last!.id],
    ]);
    await saveUpload(content);
    for (const { id } of [last!, first!]) {
      await stores.jobRequests.requestCancel(id);
      await stores.jobRequests.removeJob(id);
    }
    expect(await stores.uploads.findUploads(tenantId, [upload.id])).toHaveLength(1);
    const [next] = await insert([buildJob({ uploadIds: [upload.id] })]);
    await stores.jobRequests.requestCancel(next!.id);
    await stores.jobRequests.removeJob(next!.id);
    expect(await stores.uploads.findUploads(tenantId, [upload.id])).toEqual([]);
  });

  test("an upload goes with the last job that names it, also when newer ones were removed before", async () => {
    const upload = await saveUpload();
    const [old] = await insert([buildJob({ uploadIds: [upload.id] })]);
    await client.query("UPDATE job_parameters SET uploads_noted = true");
    for (const [table, column] of [
      ["uploads", "last_used_at"],
      ["uploads", "created_at"],
      ["jobs", "created_at"],
    ])
      await client.query(`UPDATE ${table} SET ${column} = now() - interval '2 hours' WHERE id = $1`, [
        table === "jobs" ? old!.id : upload.id,
      ]);
    const [newer] = await insert([buildJob({ uploadIds: [upload.id] })]);
    await client.query("UPDATE job_parameters SET uploads_noted = true");
    for (const { id } of [newer!, old!]) {
      expect(await stores.uploads.findUploads(tenantId, [upload.id])).toHaveLength(1);
      await stores.jobRequests.requestCancel(id);
      await stores.jobRequests.removeJob(id);
    }
    expect(await stores.uploads.findUploads(tenantId, [upload.id])).toEqual([]);
  });

  test("an upload stays while a job names it, and for a time without one", async () => {
    const [named, unused, fresh] = await Promise.all([saveUpload(), saveUpload(), saveUpload()]);
    const [job] = await insert([buildJob({ uploadIds: [named.id] })]);
    await client.query("UPDATE job_parameters SET uploads_noted = true");
    await client.query("UPDATE uploads SET last_used_at = now() - interval '2 hours' WHERE id = ANY($1)", [
      [named.id, unused.id],
    ]);
    expect((await stores.keeping.removeUnused(look)).removed.uploads).toBe(1);
    const ids = [named.id, unused.id, fresh.id];
    const left = (): Promise<string[]> =>
      stores.uploads.findUploads(tenantId, ids).then((uploads) => uploads.map(({ id }) => id).sort());
    expect(await left()).toEqual([named.id, fresh.id].sort());
    await stores.jobRequests.requestCancel(job!.id);
    await stores.jobRequests.removeJob(job!.id);
    expect(await left()).toEqual([fresh.id]);
    await stores.keeping.removeUnused({ ...look, uploadsUnusedMs: 0 });
    expect(await left()).toEqual([]);
  });

  test("an archived template goes after a day, once no job names it", async () => {
    const by = { keyName: "tests", tenantId };
    const version = { description: null, definition: "{}", uploadIds: [] };
    for (const name of ["used", "unused", "fresh", "alive"]) {
      await stores.templates.addTemplate(tenantId, name, version, by);
      if (name !== "alive") await stores.templates.archiveTemplate(tenantId, name, by);
    }
    await insert([buildJob({ template: { name: "used", version: 1, values: {} } })]);
    await client.query(
      "UPDATE templates SET archived_at = now() - interval '2 days' WHERE name LIKE '%used'",
    );
    expect((await stores.keeping.removeUnused(look)).removed.templates).toBe(1);
    const wanted = ["used", "unused", "fresh", "alive"].map((name) => ({ name }));
    const found = await stores.templates.findTemplates(tenantId, wanted);
    expect(found.map(({ name }) => name).sort()).toEqual(["alive", "fresh", "used"]);
  });

  test("an upload that a template names stays until the template is archived", async () => {
    await client.query("UPDATE job_parameters SET uploads_noted = true");
    const [first, later] = await Promise.all([saveUpload(), saveUpload()]);
    const by = { keyName: "tests", tenantId };
    const naming = (upload: Upload): NewTemplateVersion => ({
      ...{ description: null, definition: JSON.stringify(upload.id), uploadIds: [upload.id] },
    });
    await stores.templates.addTemplate(tenantId, "named", naming(first), by);
    await stores.templates.addVersion(tenantId, "named", naming(later), by);
    const left = async (): Promise<string[]> => {
      await stores.keeping.removeUnused({ ...look, uploadsUnusedMs: 0 });
      return (await stores.uploads.findUploads(tenantId, [first.id, later.id])).map(({ id }) => id).sort();
    };
    expect(await left()).toEqual([first.id, later.id].sort());
    await stores.templates.archiveTemplate(tenantId, "named", by);
    expect(await left()).toEqual([]);
  });

  test("no upload is removed before the graphs of an earlier version's jobs were read; after that their uploads stay", async () => {
    const upload = await saveUpload();
    const workflow = JSON.stringify({
      "1": { class_type: "LoadImage", inputs: { image: `genga/${upload.sha256}.png [input]` } },
    });
    const [job] = await insert([buildJob({ workflow })]);
    await client.query("UPDATE job_parameters SET uploads_noted = (job_id <> $1)", [job!.id]);
    expect((await stores.keeping.removeUnused({ ...look, uploadsUnusedMs: 0 })).removed.uploads).toBe(0);
    expect(await stores.keeping.noteUploads(100)).toBe(1);
    expect(await stores.keeping.noteUploads(100)).toBe(0);
    await stores.keeping.removeUnused({ ...look, uploadsUnusedMs: 0 });
    expect(await stores.uploads.findUploads(tenantId, [upload.id])).toHaveLength(1);
  });

  test("a submission that names an upload which was just removed is refused with the reason", async () => {
    const gone = uuidv7();
    await expect(insert([buildJob({ uploadIds: [gone] })])).rejects.toMatchObject({
      problems: [{ code: "unknown-upload" }],
    });
  });

  test("naming an upload counts as using it", async () => {
    const upload = await saveUpload();
    await client.query("UPDATE uploads SET last_used_at = now() - interval '2 hours' WHERE id = $1", [
      upload.id,
    ]);
    const jobs = await insert([buildJob({ uploadIds: [upload.id] }), buildJob({ uploadIds: [upload.id] })]);
    for (const { id } of jobs) await stores.jobRequests.requestCancel(id);
    await stores.keeping.removeEnded(jobs.map(({ id }) => id));
    expect((await stores.keeping.removeUnused(look)).removed.uploads).toBe(0);
  });
});

describe("The file of an unused upload", () => {
  async function removeUnused(upload: Upload): Promise<void> {
    await client.query("DELETE FROM files_to_remove");
    await client.query("UPDATE job_parameters SET uploads_noted = true");
    await client.query("UPDATE uploads SET last_used_at = now() - interval '1 hour' WHERE id = $1", [
      upload.id,
    ]);
    await stores.keeping.removeUnused({ from: {}, limit: 100_000, graceMs: 0, uploadsUnusedMs: 1_000 });
    expect(await stores.uploads.findUploads(tenantId, [upload.id])).toEqual([]);
  }
  // The column has milliseconds and rounds, so `now()` would sometimes be stored as half a millisecond in the future.
  const makeDue = (): Promise<unknown> =>
    client.query("UPDATE files_to_remove SET due_at = now() - interval '1 second'");

  test("is removed some time later, unless a row names its content again", async () => {
    const upload = await saveUpload("first content");
    await removeUnused(upload);
    const removed: string[] = [];
    const remove = (keys: string[]): Promise<void> => Promise.resolve(void removed.push(...keys));
    expect(await stores.keeping.removeUploadFiles(10, remove)).toBe(0);
    await makeDue();
    await saveUpload("first content");
    expect(await stores.keeping.removeUploadFiles(10, remove)).toBe(0);
    await removeUnused((await stores.uploads.findUploadsByContent(tenantId, [upload.sha256]))[0]!);
    await makeDue();
    expect(await stores.keeping.removeUploadFiles(10, remove)).toBe(1);
    expect(removed).toEqual([uploadStorageKey(upload)]);
    expect(await tablesThatTellOf([upload.sha256])).toEqual([]);
  });

  test("is not removed while the same content is being sent again", async () => {
    const upload = await saveUpload("contested content");
    await removeUnused(upload);
    await makeDue();
    const order: string[] = [];
    let sending: Promise<unknown> = Promise.resolve();
    await stores.keeping.removeUploadFiles(10, async () => {
      sending = stores.uploads.keepFile(upload).then(() => order.push("written anew"));
      await untilWaitingForLock();
      order.push("removed");
    });
    await sending;
    expect(order).toEqual(["removed", "written anew"]);
  });

  test("stays recorded when the storage fails", async () => {
    const upload = await saveUpload("unlucky content");
    await removeUnused(upload);
    await makeDue();
    const away = (): Promise<void> => Promise.reject(new Error("the storage is away"));
    await expect(stores.keeping.removeUploadFiles(10, away)).rejects.toThrow("the storage is away");
    expect(await tablesThatTellOf([upload.sha256])).toEqual([`files_to_remove: ${upload.sha256}`]);
  });
});
