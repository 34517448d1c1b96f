import { v7 as uuidv7 } from "uuid";
import {
  type AttemptEnd,
  type Job,
  type JobEvent,
  type LeasedJob,
  type NewBatch,
  type NewJob,
  type TenantJobReader,
} from "@genga/jobs";
import { buildFailure, buildJob } from "../job-builders.ts";
import { type ContractStores, type TestRunner } from "./contract-stores.ts";

export const leaseMs = 60_000;

/** The end of an attempt whose server was lost: the job is requeued. */
export function requeue(changes: Partial<Extract<AttemptEnd, { kind: "requeue" }>> = {}): AttemptEnd {
  return {
    kind: "requeue",
    failure: buildFailure({ class: "server", code: "server-lost", message: "The server went away." }),
    delayMs: 0,
    charged: false,
    avoidServer: false,
    ...changes,
  };
}

/** Set-up steps for tests of the ports. */
export interface JobPreparation {
  /** The stores; open while tests run. */
  stores: () => ContractStores;
  /** The id of a tenant without jobs. */
  freshTenant: () => Promise<string>;
  /** The id of a server without jobs. */
  freshServer: () => Promise<string>;
  insertJobs: (submission: { tenantId: string; batch: NewBatch | null; jobs: NewJob[] }) => Promise<Job[]>;
  /** Inserts the job, for a tenant of its own unless one is given. */
  insert: (job: NewJob, tenantId?: string) => Promise<Job>;
  insertBatch: (count: number) => Promise<Job[]>;
  /** Claims the job as `worker-a`. */
  claim: (job: { id: string }, attempt: number, serverId: string, ms?: number) => Promise<LeasedJob[]>;
  /** Inserts and claims a job as `worker-a`. */
  running: (options?: { job?: Partial<NewJob>; serverId?: string; leaseMs?: number }) => Promise<LeasedJob>;
  /** The reader for the tenant of this job. */
  readerOf: (jobId: string) => TenantJobReader;
  read: (jobId: string) => Promise<Job>;
  history: (jobId: string) => Promise<JobEvent[]>;
  /** The types of the events in a job's history. */
  types: (jobId: string) => Promise<string[]>;
}

/** Opens stores before the tests, and closes them after the tests. */
export function prepareJobs(runner: TestRunner, open: () => Promise<ContractStores>): JobPreparation {
  let opened: ContractStores | undefined;
  runner.beforeAll(async () => {
    opened = await open();
  });
  runner.afterAll(async () => {
    await opened?.close();
  });
  const stores = (): ContractStores => {
    if (opened === undefined) throw new Error("The stores are not open.");
    return opened;
  };

  const tenantOfJob = new Map<string, string>();
  const readerOf = (jobId: string): TenantJobReader => {
    const tenantId = tenantOfJob.get(jobId);
    if (tenantId === undefined) throw new Error(`Job ${jobId} was not inserted here.`);
    return stores().jobReader.of(tenantId);
  };
  const freshTenant = async (): Promise<string> => {
    const [tenant] = await stores().tenants.ensureTenants([`tenant-${uuidv7()}`]);
    if (tenant === undefined) throw new Error("The tenant was not created.");
    return tenant.id;
  };
  const freshServer = async (): Promise<string> => {
    const [server] = await stores().servers.registerServers([{ url: `http://${uuidv7()}:8188`, slots: 2 }]);
    if (server === undefined) throw new Error("The server was not returned.");
    return server.id;
  };
  const insertJobs: JobPreparation["insertJobs"] = async (submission) => {
    const jobs = await stores().jobRequests.insertJobs(submission);
    for (const { id, tenantId } of jobs) tenantOfJob.set(id, tenantId);
    return jobs;
  };
  const insert: JobPreparation["insert"] = async (job, tenantId) => {
    const submission = { tenantId: tenantId ?? (await freshTenant()), batch: null, jobs: [job] };
    const [inserted] = await insertJobs(submission);
    if (inserted === undefined) throw new Error("The job was not returned.");
    return inserted;
  };
  const claim: JobPreparation["claim"] = async (job, attempt, serverId, ms = leaseMs) => {
    const found = await stores().jobRuns.findJob(job.id);
    const ticketNumber = found === null || found === "removed" ? 0 : found.ticketNumber;
    const by = { workerId: "worker-a", clientId: "client-a", promptId: uuidv7() };
    return await stores().jobRuns.claimJobs([{ jobId: job.id, attempt, ticketNumber, serverId, ...by }], ms);
  };
  const history = (jobId: string): Promise<JobEvent[]> => readerOf(jobId).listEvents(jobId, 0, 1_000);
  return {
    ...{ stores, freshTenant, freshServer, insertJobs, insert, claim, readerOf, history },
    insertBatch: async (count) =>
      await insertJobs({
        tenantId: await freshTenant(),
        batch: { id: uuidv7(), name: null },
        jobs: Array.from({ length: count }, () => buildJob()),
      }),
    running: async (options = {}) => {
      const job = await insert(buildJob(options.job));
      const [leased] = await claim(job, 1, options.serverId ?? (await freshServer()), options.leaseMs);
      if (leased === undefined) throw new Error("The job could not be claimed.");
      return leased;
    },
    read: async (jobId) => {
      const job = await readerOf(jobId).findJob(jobId);
      if (job === null || job === "removed") throw new Error(`Job ${jobId} is not there.`);
      return job;
    },
    types: async (jobId) => (await history(jobId)).map(({ type }) => type),
  };
}
