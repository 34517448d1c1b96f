import { type JobPhase } from "@genga/jobs";
import fc from "fast-check";

// What processes may do to jobs in a history, for `job-history.test.ts`.

/** How many jobs a history begins with. */
export const jobsInPlay = 3;
export const endKinds = ["completed", "failed", "timeout", "cancelled", "requeue", "take-back"] as const;
export const phases: JobPhase[] = ["waiting", "submitted", "executing", "saving"];
/** Also of the jobs that were accepted meanwhile. */
const anyJob = fc.nat(jobsInPlay);
const anyLease = fc.nat(20);

/** An end that its worker sends. */
export const ends = fc.record({
  do: fc.constant("end" as const),
  lease: anyLease,
  as: fc.constantFrom(...endKinds),
});

/** A write that some process may try at any moment, sensible or not. `job` and `lease` pick among those that exist. */
export const writes = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("claim", "claim by the ticket of attempt 1", "claim by a stale ticket"),
      job: anyJob,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("claim for the empty server" as const), job: anyJob }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("cancel", "retry", "enqueued"), job: anyJob }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("pause", "resume", "make urgent", "make low"), job: anyJob }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("remove", "accept after"), job: anyJob }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("renew", "release", "take over"), lease: anyLease }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("ask for", "begin to take back"), lease: anyLease }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...([
          "adopt",
          "abandon",
          "expire",
          "cancel batch",
          "retry batch",
          "fold counts",
          "assign",
          "age",
          "move lanes",
        ] as const),
        ...(["pause batch", "resume batch", "make batch high"] as const),
        ...(["pass on"] as const),
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ do: fc.constant("progress" as const), lease: anyLease },
      ...{ phase: fc.constantFrom(...phases), percent: fc.nat(100) },
    }),
  },
  { weight: 4, arbitrary: ends },
);

export type Write = typeof writes extends fc.Arbitrary<infer Value> ? Value : never;
