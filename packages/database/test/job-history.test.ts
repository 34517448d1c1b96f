import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import { v7 as uuidv7 } from "uuid";
import {
  IllegalTransitionError,
  type AttemptEnd,
  type JobEvent,
  type JobLease,
  type JobPhase,
} from "@genga/jobs";
import { buildFailure, buildJob, buildOutput, buildProgress } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;
beforeAll(async () => {
  stores = await openTestStores();
});
afterAll(async () => {
  await stores.close();
});

const jobsInPlay = 3;

/** What anybody may try at any moment, sensible or not. `job` and `lease` pick among those that exist. */
const writes = fc.oneof(
  fc.record({ do: fc.constant("claim" as const), job: fc.nat(jobsInPlay - 1) }),
  fc.record({ do: fc.constant("claim" as const), job: fc.nat(jobsInPlay - 1) }),
  fc.record({ do: fc.constantFrom("cancel", "retry", "enqueued"), job: fc.nat(jobsInPlay - 1) }),
  fc.record({ do: fc.constantFrom("renew", "release"), lease: fc.nat(20) }),
  fc.record({ do: fc.constantFrom("adopt" as const, "abandon" as const) }),
  fc.record({
    do: fc.constant("progress" as const),
    lease: fc.nat(20),
    phase: fc.constantFrom<JobPhase>("waiting", "submitted", "executing", "saving"),
    percent: fc.nat(100),
  }),
  fc.record({
    do: fc.constant("end" as const),
    lease: fc.nat(20),
    as: fc.constantFrom("completed", "failed", "timeout", "cancelled", "requeue"),
  }),
);

type Write = typeof writes extends fc.Arbitrary<infer Value> ? Value : never;

/** Writers that run into each other; each row of the schedule is started at once. */
class Writers {
  readonly #serverId: string;
  readonly #jobIds: string[];
  readonly #leases: JobLease[] = [];

  constructor(serverId: string, jobIds: string[]) {
    this.#serverId = serverId;
    this.#jobIds = jobIds;
  }

  async run(write: Write): Promise<void> {
    if ("lease" in write) await this.#underLease(write);
    else if ("job" in write) await this.#request(write.do, write.job);
    else if (write.do === "abandon") await stores.jobs.requeueAbandoned(0);
    else this.#leases.push(...(await stores.jobs.adoptJobs(this.#serverId, "worker-b", 60_000)));
  }

  async #claim(jobId: string): Promise<void> {
    const job = await stores.jobs.findJob(jobId);
    if (job === null || job === "removed") throw new Error("The job is gone.");
    const claim = { jobId, attempt: job.attempt + 1, serverId: this.#serverId, promptId: uuidv7() };
    const claims = [{ ...claim, workerId: "worker-a", clientId: "client-a" }];
    this.#leases.push(...(await stores.jobs.claimJobs(claims, 60_000)));
  }

  async #request(what: Extract<Write, { job: number }>["do"], index: number): Promise<void> {
    const jobId = this.#jobIds[index] ?? "";
    if (what === "claim") await this.#claim(jobId);
    else if (what === "cancel") await stores.jobs.requestCancel(jobId);
    else if (what === "enqueued") await stores.jobs.markEnqueued([{ jobId, attempt: 1 }]);
    else {
      await stores.jobs.retryJob(jobId).catch((error: unknown) => {
        if (!(error instanceof IllegalTransitionError)) throw error;
      });
    }
  }

  async #underLease(write: Extract<Write, { lease: number }>): Promise<void> {
    const lease = this.#leases[write.lease % Math.max(this.#leases.length, 1)];
    if (lease === undefined) return;
    const store = stores.jobs;
    if (write.do === "progress") {
      await store.recordProgress([{ ...lease, phase: write.phase, progress: buildProgress(write.percent) }]);
    } else if (write.do === "end") await store.endAttempt(lease, endAs(write.as));
    else if (write.do === "renew") await store.renewLeases([lease], 60_000);
    else await store.releaseLeases([lease]);
  }
}

function endAs(kind: AttemptEnd["kind"]): AttemptEnd {
  const failure = buildFailure();
  if (kind === "completed") return { kind, outputs: [buildOutput()] };
  if (kind === "requeue") return { kind, failure, delayMs: 0, charged: true, avoidServer: true };
  return kind === "cancelled" ? { kind } : { kind, failure };
}

const endTypes = ["completed", "failed", "timeout", "cancelled"];

/** A job's history in words that must make sense, whatever happened. */
function assertSensible(events: JobEvent[]): void {
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
  const times = events.map(({ createdAt }) => createdAt.getTime());
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  let state = "";
  let attempt = 0;
  for (const { type, attempt: ofAttempt } of events) {
    const [before, after] = moves[type] ?? [[], ""];
    expect({ type, state, allowed: before.includes(state) }).toMatchObject({ allowed: true });
    if (type === "claimed") attempt += 1;
    expect(ofAttempt).toBe(attempt);
    state = after === "same" ? state : after;
  }
}

/** For each event: the states that it may be seen in, and the state after it. */
const moves: Partial<Record<JobEvent["type"], [string[], string]>> = {
  accepted: [[""], "queued"],
  claimed: [["queued"], "running"],
  submitted: [["running"], "same"],
  executing: [["running"], "same"],
  saving: [["running"], "same"],
  adopted: [["running"], "same"],
  cancel_requested: [["running"], "same"],
  requeued: [["running"], "queued"],
  completed: [["running"], "completed"],
  failed: [["running"], "retryable"],
  timeout: [["running"], "retryable"],
  cancelled: [["running", "queued"], "retryable"],
  retry_requested: [["retryable"], "queued"],
};

test("every history is gap-free and makes sense, however the writers interleave", async () => {
  const tenant = await stores.tenants.defaultTenant();
  const schedule = fc.array(fc.array(writes, { minLength: 1, maxLength: 6 }), {
    minLength: 4,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(schedule, async (steps) => {
      const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 9 }]);
      const jobs = await stores.jobs.insertJobs({
        ...{ tenantId: tenant.id, batch: null },
        jobs: Array.from({ length: jobsInPlay }, () => buildJob({ attemptsMax: 9 })),
      });
      const writers = new Writers(
        server?.id ?? "",
        jobs.map(({ id }) => id),
      );
      for (const step of steps) await Promise.all(step.map((write) => writers.run(write)));
      for (const { id } of jobs) {
        const [job, events] = [await stores.jobs.findJob(id), await stores.jobs.listEvents(id, 0, 1_000)];
        assertSensible(events);
        expect(job).toMatchObject({ eventSequence: events.length });
        const ends = events.filter(({ type }) => endTypes.includes(type)).length;
        const retries = events.filter(({ type }) => type === "retry_requested").length;
        const ended = typeof job === "object" && job !== null && job.finishedAt !== null;
        expect(ends - retries).toBe(ended ? 1 : 0);
        expect(await stores.jobs.listOutputs(id)).toHaveLength(
          events.some(({ type }) => type === "completed") ? 1 : 0,
        );
      }
    }),
    { numRuns: 15, endOnFailure: true },
  );
}, 60_000);
