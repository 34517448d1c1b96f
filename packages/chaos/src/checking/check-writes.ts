import { endings, type JobWrite, type RowState, type Violation } from "../history/history.ts";

/**
 * Whether every write to a job's row was allowed: only the holder of the lease changes a job that is processing; others
 * take it over, or give it up, only after the lease has run out, and raise its number; what has ended stays as it is.
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
    if (isClaim && after.leaseOwner !== process) yield "a claim was made in another's name";
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
  if (isSameLease) {
    if (process !== before.leaseOwner && !isCancelRequest(before, after)) {
      yield `written under the lease of ${before.leaseOwner ?? "nobody"} by another process`;
    }
    return;
  }
  if (after.leaseNumber !== before.leaseNumber + 1) yield "the lease number jumped";
  if (!wasLeaseExpired) yield "the lease was taken before it had run out";
  if (after.status === "processing" && after.leaseOwner !== process) {
    yield "a take-over was made in another's name";
  }
}

/** Noted by an API; everything else stays. */
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
