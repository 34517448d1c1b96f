import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { type AttemptEnd, type EndedPrompt } from "@genga/jobs";
import { buildFailure, buildJob } from "@genga/testing";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

/** Runs a job to this end, on a server of its own. */
async function end(as: AttemptEnd): Promise<EndedPrompt & { jobId: string }> {
  const tenantId = (await stores.tenants.defaultTenant()).id;
  const [job] = await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob()] });
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  const prompt = { promptId: uuidv7(), serverId: server!.id };
  const claim = { jobId: job!.id, attempt: 1, ticketNumber: 0, workerId: "w", clientId: "c", ...prompt };
  const [lease] = await stores.jobRuns.claimJobs([claim], 60_000);
  await stores.jobRuns.endAttempt(lease!, as);
  return { ...prompt, jobId: job!.id };
}

async function age(interval: string): Promise<void> {
  await client.query(`UPDATE prompts_to_forget SET ended_at = now() - interval '${interval}'`);
}

const failure = buildFailure();
test.each<AttemptEnd>([
  { kind: "completed", outputs: [] },
  { kind: "failed", failure },
  { kind: "timeout", failure },
  { kind: "cancelled" },
  { kind: "requeue", failure, delayMs: 0, charged: false, avoidServer: false },
])("an end ($kind) records its prompt until its entry is known to be deleted", async (as) => {
  const { promptId, serverId } = await end(as);
  const prompt = { promptId, serverId };
  const list = (): Promise<EndedPrompt[]> => stores.keeping.listPromptsToForget([prompt.serverId], 10);
  expect(await list()).toEqual([]); // The worker that recorded the end deletes the entry first.
  await age("1 minute");
  expect(await list()).toEqual([prompt]);
  expect(await stores.keeping.listPromptsToForget([uuidv7()], 10)).toEqual([]);
  await stores.keeping.notePromptsForgotten([prompt.promptId]);
  expect(await list()).toEqual([]);
});

test("the record of a prompt outlives its job, and each server has its turn", async () => {
  const ended = await Promise.all(Array.from({ length: 3 }, () => end({ kind: "cancelled" })));
  for (const { jobId } of ended) await stores.jobRequests.removeJob(jobId);
  await client.query(
    `INSERT INTO prompts_to_forget (prompt_id, server_id) SELECT gen_random_uuid(), $1 FROM generate_series(1, 20)`,
    [ended[0]!.serverId],
  );
  await age("1 minute");
  const servers = ended.map(({ serverId }) => serverId);
  const listed = await stores.keeping.listPromptsToForget(servers, 5);
  expect(servers.map((id) => listed.filter(({ serverId }) => serverId === id).length)).toEqual([5, 1, 1]);
});

test("a prompt that an earlier version left on a server that is away is recorded when its job is removed", async () => {
  const [away, here] = [await end({ kind: "cancelled" }), await end({ kind: "cancelled" })];
  await client.query("DELETE FROM prompts_to_forget"); // Earlier versions recorded none.
  await client.query("UPDATE servers SET state = 'unreachable' WHERE id = $1", [away.serverId]);
  await client.query("UPDATE job_attempts SET finished_at = finished_at - interval '1 day'");
  for (const { jobId } of [away, here]) await stores.jobRequests.removeJob(jobId);
  const { promptId, serverId } = away;
  expect(await stores.jobRuns.findEndedPrompts(serverId, [promptId])).toEqual([promptId]);
  expect(await stores.keeping.listPromptsToForget([serverId, here.serverId], 10)).toEqual([
    { promptId, serverId },
  ]);
});

test("prompts of servers that are gone are given up after a time", async () => {
  await client.query("DELETE FROM prompts_to_forget");
  const [old, fresh] = [await end({ kind: "cancelled" }), await end({ kind: "cancelled" })];
  await client.query(
    "UPDATE prompts_to_forget SET ended_at = now() - interval '2 hours' WHERE prompt_id = $1",
    [old.promptId],
  );
  expect(await stores.keeping.giveUpPrompts(3_600_000, 100)).toBe(1);
  const { rows } = await client.query("SELECT prompt_id AS id FROM prompts_to_forget");
  expect(rows).toEqual([{ id: fresh.promptId }]);
});
