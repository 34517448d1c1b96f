import { endings, type JobWrite, type RowState, type Violation } from "../history/history.ts";

/**
 * Checks that every write to a job's row was allowed: only the holder of the lease changes a processing job. Others
 * take it over or requeue it only after the lease has expired, and raise the lease number. An ended job does not
 * change.
 */
export function checkWrites(writes: readonly JobWrite[]): Violation[] {
  return writes.flatMap((write) =>
    [...problemsOf(write)].map((message) => ({
      rule: "stale-write",
      jobId: write.jobId,
      message: `${message} (${write.process ?? "somebody"}, ${new Date(write.at).toISOString()}: ${shown(write.before)} → ${shown(write.after)})`,
    })),
  );
}

function* problemsOf({ before, after, process, wasLeaseExpired }: JobWrite): Generator<string> {
  if (before === null) return;
  if (after.sequence < before.sequence) yield "the sequence of events went back";
  if (after.leaseNumber < before.leaseNumber) yield "the lease number went back";
  if (after.attempt < before.attempt) yield "the attempt went back";
  if (endings.has(before.status)) {
    if (after.status !== before.status && after.status !== "queued") yield "an ended job was changed";
    else if (after.status === before.status && JSON.stringify(before) !== JSON.stringify(after)) {
      yield "an ended job was written to";
    }
    return;
  }
  if (before.status === "queued") {
    const isClaim = after.status === "processing";
    if (isClaim && (after.attempt !== before.attempt + 1 || after.leaseNumber !== before.leaseNumber + 1)) {
      yield "a claim did not raise attempt and lease number by one";
    }
    if (isClaim && after.leaseOwner !== process) yield "a claim set another process as its holder";
    return;
  }
  yield* problemsWhileProcessing(before, after, process, wasLeaseExpired);
}

function* problemsWhileProcessing(
  before: RowState,
  after: RowState,
  process: string | null,
  wasLeaseExpired: boolean,
): Generator<string> {
  const isSameLease = after.leaseNumber === before.leaseNumber;
  if (after.status === "processing" && after.attempt !== before.attempt) {
    yield "the attempt changed while it was processing";
  }
  if (after.status === "processing" && after.percent < before.percent) yield "progress went back";
  // An API that accepts a job which depends on this one notes that, and changes nothing that is shown.
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  if (isSameLease) {
    if (process !== before.leaseOwner && !isCancelRequest(before, after)) {
      yield `another process wrote under the lease of ${before.leaseOwner ?? "nobody"}`;
    }
    return;
  }
  if (after.leaseNumber !== before.leaseNumber + 1) yield "the lease number jumped";
  if (!wasLeaseExpired) yield "the lease was taken before it had run out";
  if (after.status === "processing" && after.leaseOwner !== process) {
    yield "a take-over set another process as its holder";
  }
}

/** An API may record a cancel request, and change nothing else. */
function isCancelRequest(before: RowState, after: RowState): boolean {
  const unchanged = { ...before, sequence: after.sequence, cancelRequestedAt: after.cancelRequestedAt };
  return (
    before.cancelRequestedAt === null &&
    after.cancelRequestedAt !== null &&
    JSON.stringify(unchanged) === JSON.stringify(after)
  );
}

function shown(state: RowState | null): string {
  if (state === null) return "nothing";
  const { status, phase, attempt, leaseNumber, leaseOwner, percent, sequence } = state;
  return `${status}/${phase ?? ""} attempt ${attempt} lease ${leaseNumber} of ${leaseOwner ?? "nobody"} ${percent}% sequence ${sequence}`;
}
