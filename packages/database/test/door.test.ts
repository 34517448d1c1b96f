import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import {
  PromptTakenError,
  doorFileSource,
  untoldKeptMs,
  type DoorFileName,
  type EndedDoorPrompt,
  type Job,
  type LeasedJob,
  type NewDoorPrompt,
  type UnnamedDoorFile,
} from "@genga/jobs";
import { buildFailure, buildJob, buildOutput, buildProgress } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;
let client: pg.Client;
let [own, other] = ["", ""];
let serverId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  own = (await stores.tenants.defaultTenant()).id;
  other = (await stores.tenants.ensureTenants(["other"]))[0]!.id;
  const [server] = await stores.servers.registerServers([{ url: "http://gpu:8188", slots: 9 }]);
  serverId = server!.id;
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

const said = (change: Partial<NewDoorPrompt> = {}): NewDoorPrompt => ({
  ...{ keyName: "plugin", promptId: uuidv7(), clientId: null, number: 1, saidHash: "hash", targets: null },
  ...{ outputNodes: ["9"], socketNodes: [], rewrites: [], ...change },
});

async function submit(door: NewDoorPrompt, tenantId = own): Promise<Job> {
  const jobs = [buildJob({ door })];
  const [job] = await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs });
  return job!;
}

async function run(job: Job, onServer = serverId): Promise<LeasedJob> {
  const by = { serverId: onServer, workerId: "worker", clientId: "client", promptId: uuidv7() };
  const { id: jobId, ticketNumber } = job;
  const [leased] = await stores.jobRuns.claimJobs([{ jobId, attempt: 1, ticketNumber, ...by }], 60_000);
  return leased!;
}

async function ended(tenantId: string, page: { max: number; offset?: number }): Promise<EndedDoorPrompt[]> {
  const all: EndedDoorPrompt[] = [];
  for await (const part of stores.doorPrompts.listEnded(tenantId, page)) all.push(...part);
  return all;
}

const png = (source: string, change: Partial<UnnamedDoorFile> = {}): UnnamedDoorFile => ({
  ...{ source, type: "output", subfolder: "", stem: "ComfyUI", ending: "_.png", ...change },
});

describe("prompts of clients", () => {
  test("are stored with their job, and told to whoever runs it", async () => {
    const door = said({
      targets: ["9"],
      socketNodes: ["9"],
      rewrites: [{ nodeId: "9", said: "SaveImageWebsocket" }],
    });
    const leased = await run(await submit(door));
    expect(leased.door).toEqual({ promptId: door.promptId, targets: ["9"], socketNodes: ["9"] });
    const [found] = await stores.doorPrompts.findByPromptIds(own, [door.promptId]);
    expect(found).toMatchObject({ ...door, status: "processing", jobId: leased.jobId });
    const [plain] = await stores.jobRequests.insertJobs({ tenantId: own, batch: null, jobs: [buildJob()] });
    expect((await run(plain!)).door).toBeNull();
  });

  test("with one place are accepted once, however many come together, in each tenant", async () => {
    const place = uuidv7();
    const same = Array.from({ length: 5 }, () => submit(said({ place })));
    const others = [submit(said()), submit(said({ place: uuidv7() })), submit(said({ place }), other)];
    const front = [submit(said({ place, goesBefore: true }))];
    await Promise.all(others);
    const outcomes = await Promise.allSettled([...same, ...front]);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(PromptTakenError);
  });

  test("are found by the name of their newest job, and only by their own tenant", async () => {
    const door = said({ clientId: "krita" });
    await submit(door);
    const newer = await submit(door);
    const foreign = await submit(door, other);
    const ofOwn = await stores.doorPrompts.findByPromptIds(own, [door.promptId]);
    expect(ofOwn.map(({ jobId }) => jobId)).toEqual([newer.id]);
    expect(await stores.doorPrompts.findByJobs(own, [foreign.id])).toEqual([]);
    expect(await stores.doorPrompts.findByClientId(other, "krita", 1_000)).toMatchObject([
      { jobId: foreign.id },
    ]);
    expect(await stores.doorPrompts.findByClientId(own, "krita", 1_000)).toHaveLength(2);
  });

  test("wait in the order of their numbers, each in the queue of its key", async () => {
    const key = said({ keyName: "painter" });
    const [second, first] = [await submit({ ...key, number: 5 }), await submit({ ...key, number: -7 })];
    await submit(said());
    const shown: string[] = [];
    for await (const page of stores.doorPrompts.listActive(own, "painter"))
      shown.push(...page.map(({ jobId }) => jobId));
    expect(shown).toEqual([first.id, second.id]);
    expect(await stores.doorPrompts.countActive(own, "painter")).toBe(2);
    expect(await stores.doorPrompts.countActive(other, "painter")).toBe(0);
    expect(await stores.doorPrompts.findActiveJobs(own, "painter", { state: "begun" })).toEqual([]);
    expect(await stores.doorPrompts.findActiveJobs(own, "nobody", { promptIds: [key.promptId] })).toEqual([]);
  });

  test("wait also in the queue of a server, behind another one, and are gone once they are taken out of it", async () => {
    const key = said({ keyName: "two slots" });
    const { promptId } = key;
    const first = await run(await submit({ ...key, promptId: "first" }));
    const second = await run(await submit(key));
    const listed = async (): Promise<string[]> => {
      const all: string[] = [];
      for await (const page of stores.doorPrompts.listActive(own, "two slots"))
        all.push(...page.map(({ jobId, status }) => `${jobId === first.jobId ? 1 : 2} ${status}`));
      return all;
    };
    await stores.jobRuns.recordProgress([{ ...first, phase: "executing", progress: buildProgress(1) }]);
    expect(await listed()).toEqual(["1 processing", "2 queued"]);
    const running = await stores.doorPrompts.findActiveJobs(own, "two slots", { state: "begun" });
    expect(running).toEqual([{ jobId: first.jobId, waits: false }]);
    const waiting = await stores.doorPrompts.findActiveJobs(own, "two slots", { promptIds: [promptId] });
    expect(waiting).toEqual([{ jobId: second.jobId, waits: true }]);
    await stores.jobRequests.requestCancel(second.jobId);
    expect(await listed()).toEqual(["1 processing"]);
    expect(await stores.doorPrompts.countActive(own, "two slots")).toBe(1);
    await stores.jobRuns.endAttempt(second, { kind: "cancelled" });
    expect(await stores.doorPrompts.findEnded(own, promptId)).toBeNull();
    await stores.jobRuns.endAttempt(first, { kind: "cancelled" });
    expect(await stores.doorPrompts.findEnded(own, "first")).not.toBeNull();
  });

  test("that have just ended count as running for a client that does not know it", async () => {
    const key = said({ keyName: "poller" });
    const [waiting, running] = [await submit({ ...key, promptId: "waits" }), await submit(key)];
    const leased = await run(running);
    const shown = async (believedOpen?: string[], tenantId = own): Promise<string[]> => {
      const all: string[] = [];
      for await (const page of stores.doorPrompts.listActive(tenantId, "poller", believedOpen))
        all.push(...page.map(({ promptId, status }) => `${promptId} ${status}`));
      return all;
    };
    await stores.jobRuns.endAttempt(leased, { kind: "completed", outputs: [] });
    expect(await shown()).toEqual(["waits queued"]);
    const believed = [key.promptId, "waits", "unknown"];
    expect(await shown(believed)).toEqual([`${key.promptId} processing`, "waits queued"]);
    expect(await shown(believed, other)).toEqual([]);
    await stores.jobRequests.requestCancel(waiting.id);
    // Taken out of the queue: a server has it neither in its queue nor in its history.
    expect(await shown(believed)).toEqual([`${key.promptId} processing`]);
    await stores.doorPrompts.hide(own, { promptIds: [key.promptId] });
    expect(await shown(believed)).toEqual([]);
  });

  test("stand in the history once they have ended, until they are hidden", async () => {
    await stores.doorPrompts.hide(own, "all");
    const made: string[] = [];
    for (const promptId of ["one", "two", "three"]) {
      const leased = await run(await submit(said({ promptId })));
      await stores.jobRuns.endAttempt(leased, { kind: "completed", outputs: [] });
      made.push(leased.jobId);
    }
    const failing = await run(await submit(said({ promptId: "four" })));
    await stores.jobRuns.endAttempt(failing, { kind: "failed", failure: buildFailure({ nodeId: "3" }) });
    await submit(said({ promptId: "waits" }));
    const names = async (page: { max: number; offset?: number }): Promise<string[]> =>
      (await ended(own, page)).map(({ promptId }) => promptId);
    expect(await names({ max: 10 })).toEqual(["one", "two", "three", "four"]);
    expect(await names({ max: 2 })).toEqual(["three", "four"]);
    expect(await names({ max: 2, offset: 1 })).toEqual(["two", "three"]);
    expect(await stores.doorPrompts.findEnded(own, "four")).toMatchObject({
      failure: { nodeId: "3" },
      entry: null,
    });
    expect(await stores.doorPrompts.findEnded(other, "one")).toBeNull();
    expect(await stores.doorPrompts.findEnded(own, "waits")).toBeNull();
    await stores.doorPrompts.hide(other, "all");
    await stores.doorPrompts.hide(own, { promptIds: ["two"] });
    expect(await names({ max: 10 })).toEqual(["one", "three", "four"]);
    const { rows } = await client.query("SELECT count(*)::int FROM jobs WHERE id = ANY($1)", [made]);
    expect(rows).toEqual([{ count: 3 }]);
  });

  test("go with their job, and so do their entries and the names of their files", async () => {
    const leased = await run(await submit(said({ promptId: "gone" })));
    await stores.doorFiles.nameOutputs(leased.jobId, [png("a", { stem: "gone" })]);
    await client.query("INSERT INTO door_entries VALUES ($1, 1, '{}')", [leased.jobId]);
    await stores.jobRuns.endAttempt(leased, { kind: "completed", outputs: [buildOutput()] });
    expect(await stores.doorPrompts.findEnded(own, "gone")).toMatchObject({ entry: "{}" });
    await stores.jobRequests.removeJob(leased.jobId);
    expect(await stores.doorPrompts.findEnded(own, "gone")).toBeNull();
    const name: DoorFileName = { type: "output", subfolder: "", name: "gone_00001_.png" };
    expect(await stores.doorFiles.findFiles(own, [name])).toEqual([null]);
  });
});

test("prompts are listed without their graphs, but for those whose end must be made of it", async () => {
  const keyName = "lister";
  const [told, untold] = [
    await run(await submit(said({ keyName }))),
    await run(await submit(said({ keyName }))),
  ];
  await submit(said({ keyName }));
  await stores.jobRuns.endAttempt(told, { kind: "completed", outputs: [] }, '{"outputs":{}}');
  await stores.jobRuns.endAttempt(untold, { kind: "completed", outputs: [] });
  const graphs: [jobId: string, isEmpty: boolean][] = [];
  for await (const page of stores.doorPrompts.listEnded(own, { max: 2, withoutGraphs: true }))
    graphs.push(...page.map(({ jobId, workflow }): [string, boolean] => [jobId, workflow === "{}"]));
  expect(graphs).toEqual([
    [told.jobId, true],
    [untold.jobId, false],
  ]);
  const waiting: string[] = [];
  for await (const page of stores.doorPrompts.listActive(own, keyName, [], { withoutGraphs: true }))
    waiting.push(...page.map(({ workflow }) => workflow));
  expect(waiting).toEqual(["{}"]);
});

describe("a prompt that goes before others", () => {
  const numbers = async (keyName: string): Promise<number[]> => {
    const { rows } = await client.query<{ number: number }>(
      `SELECT prompt.number FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id
       WHERE job.tenant_id = $1 AND prompt.key_name = $2 AND job.status = 'queued' ORDER BY job.rank, job.id`,
      [own, keyName],
    );
    return rows.map(({ number }) => number);
  };

  test("takes the place of the first with a larger number, and no place of anybody else", async () => {
    const keyName = "hurried";
    const [ten, twenty, thirty] = [
      await submit(said({ keyName, number: 10 })),
      await submit(said({ keyName, number: 20 })),
      await submit(said({ keyName, number: 30 })),
    ];
    const others = [
      await submit(said({ keyName: "patient", number: 99 })),
      await submit(said({ keyName, number: 99 }), other),
    ];
    const placesOfOthers = async (): Promise<unknown> =>
      (
        await client.query("SELECT id, rank, ticket_number FROM jobs WHERE id = ANY($1) ORDER BY id", [
          others.map(({ id }) => id),
        ])
      ).rows;
    const before = await placesOfOthers();
    const placed = await submit(said({ keyName, number: 15, goesBefore: true }));
    expect(placed).toMatchObject({ rank: twenty.rank, ticketNumber: 0 });
    const { rows } = await client.query<{ keyName: string; number: number }>(
      `SELECT prompt.key_name AS "keyName", prompt.number FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id
       WHERE job.tenant_id = $1 AND prompt.key_name IN ('hurried', 'patient') ORDER BY job.rank`,
      [own],
    );
    // The reserved rank of the new prompt is now that of the last one.
    expect(rows.map(({ keyName: key, number }) => `${key} ${number}`)).toEqual([
      ...["hurried 10", "hurried 15", "hurried 20", "patient 99", "hurried 30"],
    ]);
    expect(await placesOfOthers()).toEqual(before);
    // Without a number of its own, a prompt is the last one.
    await submit(said({ keyName, number: -1 }));
    expect(await numbers(keyName)).toEqual([10, 15, 20, 30, -1]);
    expect([await run(thirty), await run(twenty)]).toEqual([undefined, undefined]);
    expect((await run(ten)).jobId).toBe(ten.id);
    expect((await run(placed)).jobId).toBe(placed.id);
  });

  test("moves no prompt that a worker claims meanwhile, and gives no rank twice", async () => {
    const keyName = "contested";
    const jobs: Job[] = [];
    for (let number = 1; number <= 8; number += 1) jobs.push(await submit(said({ keyName, number })));
    const [claims, fronts] = await Promise.all([
      Promise.all(jobs.map((job) => run(job) as Promise<LeasedJob | undefined>)),
      Promise.all([-1, -2, -3, -4].map((number) => submit(said({ keyName, number, goesBefore: true })))),
    ]);
    const { rows } = await client.query<{ id: string; rank: number; status: string; ticket: number }>(
      `SELECT id, rank, status, ticket_number AS ticket FROM jobs
       WHERE id IN (SELECT job_id FROM door_prompts WHERE key_name = $1)`,
      [keyName],
    );
    expect(new Set(rows.map(({ rank }) => rank)).size).toBe(jobs.length + fronts.length);
    for (const [index, { id, rank }] of jobs.entries()) {
      const row = rows.find((each) => each.id === id)!;
      const isClaimed = claims[index] !== undefined;
      expect([row.status, row.ticket > 0]).toEqual(isClaimed ? ["processing", false] : ["queued", true]);
      if (isClaimed) expect(row.rank).toBe(rank);
    }
    await submit(said({ keyName, number: -5, goesBefore: true }));
    const shown = await numbers(keyName);
    expect(shown[0]).toBe(-5);
    expect(shown).toEqual(shown.toSorted((one, two) => one - two));
  });
});

describe("what a server's history says of the end", () => {
  const entry = '{"outputs":{"4":{"text":["\\u0000 \\ud800"],"fps":[8.0, NaN]}},"status":null,"meta":{}}';

  test("is stored with the end, as it is written, together with ends of other jobs", async () => {
    const [one, two] = [await run(await submit(said())), await run(await submit(said()))];
    const [plain] = await stores.jobRequests.insertJobs({ tenantId: own, batch: null, jobs: [buildJob()] });
    const other = await run(plain!);
    const results = await Promise.all([
      stores.jobRuns.endAttempt(one, { kind: "completed", outputs: [buildOutput()] }, entry),
      stores.jobRuns.endAttempt(other, { kind: "completed", outputs: [] }),
      stores.jobRuns.endAttempt(two, { kind: "cancelled" }, "{}"),
    ]);
    expect(results.map((result) => result.held && result.status)).toEqual([
      "completed",
      "completed",
      "cancelled",
    ]);
    const entries = await stores.doorPrompts.readEntries(own, [one.jobId, two.jobId, other.jobId]);
    expect([...entries]).toEqual([
      [one.jobId, { attempt: 1, entry }],
      [two.jobId, { attempt: 1, entry: "{}" }],
    ]);
  });

  test("is not stored if the job goes on", async () => {
    const leased = await run(await submit(said()));
    const requeue = { kind: "requeue", delayMs: 0, charged: false, avoidServer: false } as const;
    await stores.jobRuns.endAttempt(leased, { ...requeue, failure: buildFailure() }, entry);
    expect((await stores.doorPrompts.readEntries(own, [leased.jobId])).size).toBe(0);
  });
});

describe("clients with sockets", () => {
  test("must be told of each end of their prompts, whoever ended it, until they were", async () => {
    const clientId = "told";
    const [completed, cancelled, waiting] = [
      await run(await submit(said({ clientId }))),
      await submit(said({ clientId })),
      await submit(said({ clientId })),
    ];
    await submit(said({ clientId: "another" }));
    await stores.jobRuns.endAttempt(completed, { kind: "completed", outputs: [] });
    await stores.jobRequests.requestCancel(cancelled.id);
    const nameless = await submit(said());
    await stores.jobRequests.requestCancel(nameless.id);
    const untold = await stores.doorClients.listUntold(own, { clientIds: [clientId, "another"] }, 10);
    const agoMs = expect.any(Number) as unknown;
    const rest = { clientId, agoMs, isBeforeRunning: true };
    expect(untold).toEqual([completed.jobId, cancelled.id].map((jobId) => ({ jobId, ...rest })));
    expect(await stores.doorClients.listUntold(other, { clientIds: [clientId] }, 10)).toEqual([]);
    const ends = await stores.doorPrompts.findEndedJobs(own, [completed.jobId, cancelled.id, waiting.id]);
    expect(ends.map(({ jobId, isShown }) => [jobId, isShown])).toEqual([
      [completed.jobId, true],
      [cancelled.id, false],
    ]);
    const open = await stores.doorClients.countOpen(own, "plugin", [clientId]);
    expect(open.untold).toEqual([completed.jobId]);
    expect(open.active).toBe(await stores.doorPrompts.countActive(own, "plugin"));
    expect(await stores.doorClients.countOpen(other, "plugin", [clientId])).toMatchObject({ untold: [] });
    const areEndsTold = async (): Promise<boolean[]> => {
      const jobIds = [completed.jobId, cancelled.id, waiting.id, nameless.id];
      return (await stores.doorPrompts.findByJobs(own, jobIds)).map(({ isEndTold }) => isEndTold);
    };
    expect(await areEndsTold()).toEqual([false, false, false, false]);
    await stores.doorClients.forgetEnds(other, [completed.jobId]);
    await stores.doorClients.forgetEnds(own, [cancelled.id]);
    expect(await areEndsTold()).toEqual([false, true, false, false]);
    expect(await stores.doorClients.listUntold(own, { clientIds: [clientId] }, 10)).toEqual([
      { jobId: completed.jobId, ...rest },
    ]);
  });

  test("are not told of an end before the job has ended again, and know which ends came while another prompt ran", async () => {
    const clientId = "again";
    const listed = async (heardJobIds: string[] = []): Promise<[string, boolean][]> => {
      const untold = await stores.doorClients.listUntold(own, { clientIds: [clientId], heardJobIds }, 10);
      return untold.map(({ jobId, isBeforeRunning }) => [jobId, isBeforeRunning]);
    };
    const execute = async (job: Job): Promise<LeasedJob> => {
      const leased = await run(job);
      const progress = { ...buildProgress(10), node: "3" };
      await stores.jobRuns.recordProgress([{ ...leased, phase: "executing", progress }]);
      return leased;
    };
    const [retried, between] = [await submit(said({ clientId })), await submit(said({ clientId }))];
    await stores.jobRequests.requestCancel(retried.id);
    const running = await execute(await submit(said({ clientId })));
    await stores.jobRequests.requestCancel(between.id);
    await client.query("UPDATE door_ends SET ended_at = ended_at - interval '1 minute' WHERE job_id = $1", [
      retried.id,
    ]);
    expect(await listed()).toEqual([
      [retried.id, true],
      [between.id, false],
    ]);
    await stores.jobRequests.retryJob(retried.id);
    expect(await listed()).toEqual([[between.id, false]]);
    await stores.jobRuns.endAttempt(running, { kind: "completed", outputs: [] });
    expect(await listed()).toEqual([
      [between.id, true],
      [running.jobId, true],
    ]);
    expect(await listed([running.jobId])).toEqual([
      [between.id, false],
      [running.jobId, false],
    ]);
    await stores.jobRequests.requestCancel(retried.id);
    expect((await listed()).map(([jobId]) => jobId)).toEqual([between.id, running.jobId, retried.id]);
    await stores.doorClients.forgetEnds(own, [between.id, running.jobId, retried.id]);
  });

  test("know that an end came before a prompt that was sent to the same server later, and has begun while outputs were stored", async () => {
    const clientId = "neighbours";
    const begin = async (job: Job, by?: string): Promise<LeasedJob> => {
      const leased = await run(job, by);
      const progress = { ...buildProgress(10), node: "3" };
      await stores.jobRuns.recordProgress([{ ...leased, phase: "executing", progress }]);
      return leased;
    };
    const [elsewhere] = await stores.servers.registerServers([{ url: "http://other-gpu:8188", slots: 9 }]);
    const isBefore = async (): Promise<boolean[]> =>
      (await stores.doorClients.listUntold(own, { clientIds: [clientId] }, 10)).map(
        ({ isBeforeRunning }) => isBeforeRunning,
      );
    const earlier = await begin(await submit(said({ clientId })));
    const stored = await begin(await submit(said({ clientId })));
    await begin(await submit(said({ clientId })));
    await stores.jobRuns.endAttempt(stored, { kind: "completed", outputs: [] });
    expect(await isBefore()).toEqual([false]);
    await stores.jobRuns.endAttempt(earlier, { kind: "completed", outputs: [] });
    expect(await isBefore()).toEqual([true, true]);
    await begin(await submit(said({ clientId })), elsewhere!.id);
    expect(await isBefore()).toEqual([true, true]);
    const last = await begin(await submit(said({ clientId })));
    await stores.jobRuns.endAttempt(last, { kind: "completed", outputs: [] });
    expect(await isBefore()).toEqual([true, true, false]);
    await stores.doorClients.forgetEnds(
      own,
      [stored, earlier, last].map(({ jobId }) => jobId),
    );
  });

  test("do not take an end for an earlier one if its prompt waited behind what runs, and never ran", async () => {
    const clientId = "overtaken";
    const [failed, cancelled, short] = [
      await run(await submit(said({ clientId }))),
      await run(await submit(said({ clientId }))),
      await run(await submit(said({ clientId }))),
    ];
    const running = await run(await submit(said({ clientId })));
    const progress = { ...buildProgress(10), node: "3" };
    await stores.jobRuns.recordProgress([
      { ...failed, phase: "submitted", progress: buildProgress(0) },
      { ...running, phase: "executing", progress },
    ]);
    await stores.jobRuns.endAttempt(failed, { kind: "failed", failure: buildFailure() });
    await stores.jobRuns.endAttempt(cancelled, { kind: "cancelled" });
    // It ended before its progress was written down, and has run all the same.
    await stores.jobRuns.endAttempt(short, { kind: "completed", outputs: [] });
    const untold = await stores.doorClients.listUntold(own, { clientIds: [clientId] }, 10);
    expect(untold.map(({ jobId, isBeforeRunning }) => [jobId, isBeforeRunning])).toEqual([
      [failed.jobId, false],
      [cancelled.jobId, false],
      [short.jobId, true],
    ]);
    await stores.doorClients.forgetEnds(
      own,
      [failed, cancelled, short].map(({ jobId }) => jobId),
    );
  });

  test("have each their own share of the ends that are listed", async () => {
    const jobIds = new Map<string, string[]>([
      ["many", []],
      ["few", []],
    ]);
    for (const clientId of ["many", "many", "many", "few", "few"]) {
      const { id } = await submit(said({ clientId }));
      await stores.jobRequests.requestCancel(id);
      jobIds.get(clientId)!.push(id);
    }
    const untold = await stores.doorClients.listUntold(own, { clientIds: ["many", "few", "nobody"] }, 2);
    const expected = [...jobIds.get("many")!.slice(0, 2), ...jobIds.get("few")!];
    expect(untold.map(({ jobId }) => jobId)).toEqual(expected);
    await stores.doorClients.forgetEnds(own, [...jobIds.values()].flat());
  });

  test("may be away for days, and are told of their newest prompts", async () => {
    const clientId = "away";
    const jobs: string[] = [];
    for (const days of [8, 6, 5, 4]) {
      const { id } = await submit(said({ clientId }));
      await stores.jobRequests.requestCancel(id);
      await client.query("UPDATE door_ends SET ended_at = now() - $2 * interval '1 day' WHERE job_id = $1", [
        ...[id, days],
      ]);
      jobs.push(id);
    }
    const untold = async (): Promise<string[]> =>
      (await stores.doorClients.listUntold(own, { clientIds: [clientId] }, 10)).map(({ jobId }) => jobId);
    expect(await untold()).toEqual(jobs.slice(1));
    const [oldest] = await stores.doorClients.listUntold(own, { clientIds: [clientId] }, 1);
    expect(oldest!.agoMs / 86_400_000).toBeCloseTo(6, 1);
    expect(await stores.keeping.removeDoorEnds(untoldKeptMs, 10)).toBe(1);
    expect(await stores.keeping.removeExcessDoorEnds(3, 10)).toBe(0);
    expect(await stores.keeping.removeExcessDoorEnds(1, 1)).toBe(1);
    expect(await untold()).toEqual(jobs.slice(2));
    expect(await stores.keeping.removeExcessDoorEnds(1, 10)).toBe(1);
    expect(await untold()).toEqual(jobs.slice(3));
  });

  test("hear which node of theirs runs", async () => {
    const leased = await run(await submit(said({ clientId: "running" })));
    expect(await stores.doorClients.findRunning(own, "running")).toEqual([]);
    const progress = { ...buildProgress(10), node: "3" };
    await stores.jobRuns.recordProgress([{ ...leased, phase: "executing", progress }]);
    expect(await stores.doorClients.findRunning(own, "running")).toEqual([
      { jobId: leased.jobId, node: "3" },
    ]);
    expect(await stores.doorClients.findRunning(other, "running")).toEqual([]);
  });
});

describe("names of files", () => {
  test("are counted on, however many are given at once, and stay with their output", async () => {
    const jobs = await Promise.all([submit(said()), submit(said()), submit(said())]);
    const sources = [0, 1].map((index) => doorFileSource({ nodeId: "9", key: "images", index }));
    const named = await Promise.all(
      jobs.map(({ id }) =>
        stores.doorFiles.nameOutputs(
          id,
          sources.map((source) => png(source)),
        ),
      ),
    );
    const names = named.flatMap((each) => [...each.values()].map(({ name }) => name));
    expect(names.toSorted()).toEqual([1, 2, 3, 4, 5, 6].map((number) => `ComfyUI_0000${number}_.png`));
    const again = await stores.doorFiles.nameOutputs(
      jobs[0].id,
      [...sources, "more"].map((source) => png(source)),
    );
    expect(sources.map((source) => again.get(source))).toEqual(
      sources.map((source) => named[0]!.get(source)),
    );
    expect(again.get("more")?.name).toBe("ComfyUI_00007_.png");
    const foreign = await submit(said(), other);
    const ofOther = await stores.doorFiles.nameOutputs(foreign.id, [png("a")]);
    expect(ofOther.get("a")?.name).toBe("ComfyUI_00001_.png");
    const name: DoorFileName = { type: "output", subfolder: "", name: "ComfyUI_00001_.png" };
    expect(await stores.doorFiles.findFiles(other, [name])).toEqual([
      { jobId: foreign.id, source: "a", hasEnded: false },
    ]);
  });

  test("of uploads are the client's own, unless they are taken", async () => {
    const upload = async (sha256: string, tenantId = own): Promise<string> =>
      (
        await stores.uploads.saveUpload({
          ...{ tenantId, sha256: sha256.repeat(64), mediaType: "image/png", bytes: 1, width: 1, height: 1 },
          ...{ frames: 1, durationMs: null, blake3: null },
        })
      ).id;
    const [one, two, foreign] = [await upload("1"), await upload("2"), await upload("3", other)];
    const wanted: DoorFileName = { type: "input", subfolder: "", name: "up.png" };
    const give = async (uploadId: string, overwrite = false, tenantId = own): Promise<string> =>
      (await stores.doorFiles.nameUpload(tenantId, wanted, { uploadId, overwrite })).name;
    expect([await give(one), await give(one), await give(two)]).toEqual(["up.png", "up.png", "up (1).png"]);
    expect(await give(foreign, false, other)).toBe("up.png");
    expect(await give(two, true)).toBe("up.png");
    expect(await stores.doorFiles.findFiles(own, [wanted])).toEqual([{ uploadId: two }]);
    const listed = await stores.doorFiles.listInputs(own);
    expect(listed.map(({ name }) => name)).toEqual(["up (1).png", "up.png"]);
  });
});
