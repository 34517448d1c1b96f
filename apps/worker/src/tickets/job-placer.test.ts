import { expect, test } from "@jest/globals";
import { type Candidate } from "@genga/jobs";
import { type FreeServer } from "./free-servers.ts";
import { JobPlacer, type JobPlacerOptions } from "./job-placer.ts";

const serverOf = (id: string, jobsHeld: number): FreeServer =>
  ({
    ...{ id, slots: 2, jobsHeld, checkpoint: null, holdsOnlyShort: false, refillMs: null },
    server: { definitions: {}, labels: [] },
  }) as unknown as FreeServer;

/** Places a job that failed last on the empty server `failed`, which was chosen for its lane beside one that is busy. */
async function placeBeside(busy: string, failed: string, more: Partial<Candidate>): Promise<string[]> {
  const placer = new JobPlacer({
    ...{ workerId: "worker", servers: { listServers: () => Promise.resolve([]) } },
    ...{ canRun: { test: () => true }, hasOtherWorkers: () => false, log: { error: console.error } },
    runsOf: () => ({ runMs: null, runs: 0 }),
    knowledge: { laneNamed: () => ({ model: null, runMs: 1, loadMs: 0 }) },
  } as unknown as JobPlacerOptions);
  const candidate = {
    ...{ jobId: "job", attempt: 2, ticketNumber: 0, workflow: "{}", lane: "default", tenantId: "tenant" },
    ...{ avoidServerId: failed, ...more },
  } as Candidate;
  const freeServers = [serverOf(busy, 1), serverOf(failed, 0)];
  const where = {
    servers: new Map([["default", freeServers]]),
    freeServers,
    elsewhere: () => Promise.resolve([]),
  };
  return (await placer.place([candidate], where, new Map())).map(({ freeServer }) => freeServer.id);
}

test("a job goes to the empty server where it failed rather than behind a running job, unless memory ran out", async () => {
  expect(await placeBeside("busy", "failed", {})).toEqual(["failed"]);
  expect(await placeBeside("busy", "failed", { ranOutOfMemory: true })).toEqual(["busy"]);
});
