import { expect } from "@jest/globals";
import {
  jobPriorities,
  mayAdvance,
  takenBackCode,
  type AttemptEnd,
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobLease,
  type JobOutput,
  type JobPhase,
  type JobPriority,
  type JobStatus,
} from "@genga/jobs";

/** A write whose answer said that it made an event. Only this write may have made it, and only if it was allowed to. */
export interface Author {
  type: JobEvent["type"];
  /** The lease of a fenced write. */
  under?: JobLease;
  /** The lease that a claim or an adoption got. */
  given?: JobLease;
  /** The write takes the job from a holder that may come back. */
  takesOver?: boolean;
  end?: AttemptEnd;
}

/** Everything that the store returns about one job. */
export interface Told {
  job: Job;
  events: JobEvent[];
  attempts: JobAttempt[];
  outputs: JobOutput[];
  /** Writes by the sequence of their event. */
  authors: ReadonlyMap<number, Author[]>;
}

interface ModelState {
  status: JobStatus;
  phase: JobPhase | null;
  attempt: number;
  leaseNumber: number;
  attemptsCharged: number;
  crashCount: number;
  outOfMemoryCount: number;
  isCancelRequested: boolean;
  isPaused: boolean;
  priority: JobPriority;
  /** How many times the job ended; more than once only after explicit retries. */
  ends: number;
}

const initial: ModelState = {
  ...{ status: "queued", phase: "waiting", attempt: 0, leaseNumber: 0, attemptsCharged: 0 },
  ...{ crashCount: 0, outOfMemoryCount: 0, isCancelRequested: false, isPaused: false, ends: 0 },
  priority: "normal",
};

/**
 * The state machine in terms of events: replays a history in its order, checks for each event whether its author was
 * allowed to make it at that moment, and compares the result with the rows.
 */
export function judge({ job, events, attempts, outputs, authors }: Told): void {
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
  const times = events.map(({ createdAt }) => createdAt.getTime());
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  let state = initial;
  const outcomes: string[] = [];
  for (const [index, event] of events.entries()) {
    if (index === 0) {
      expect(event.type).toBe("accepted");
      continue;
    }
    const author = authorOf(event, authors.get(event.sequence) ?? [], attempts);
    const before = state;
    state = step(before, event, author);
    expect(event.attempt).toBe(state.attempt);
    assertFence(before, state, event, author);
    if (before.status === "processing" && state.status !== "processing") outcomes.push(event.type);
  }
  expect([...authors.keys()].filter((sequence) => sequence > events.length)).toEqual([]);
  const { status, phase, attempt, leaseNumber, attemptsCharged, crashCount, outOfMemoryCount } = state;
  expect(job).toMatchObject({
    ...{ status, phase, attempt, leaseNumber, attemptsCharged, crashCount, outOfMemoryCount },
    ...{ eventSequence: events.length, cancelTooLate: status === "completed" && state.isCancelRequested },
  });
  expect(job.cancelRequestedAt !== null).toBe(state.isCancelRequested);
  expect(job.pausedAt !== null).toBe(state.isPaused);
  expect(job.priority).toBe(state.priority);
  // A job whose prompt was taken back has not failed. A request in the meantime clears no failure of a queued job.
  if (
    status === "queued" &&
    events.findLast(({ type }) => type === "requeued")?.data["code"] === takenBackCode
  )
    expect(job.failure).toBeNull();
  const isEnded = status !== "queued" && status !== "processing";
  expect(job.finishedAt !== null).toBe(isEnded);
  const retries = events.filter(({ type }) => type === "retry_requested").length;
  expect(state.ends - retries).toBe(isEnded ? 1 : 0);
  expect(attempts.map(({ number }) => number)).toEqual(attempts.map((_, index) => index + 1));
  expect(attempts).toHaveLength(attempt);
  expect(attempts.flatMap(({ outcome }) => outcome ?? [])).toEqual(outcomes);
  assertOutputs(job, outputs, authors.get(events.length) ?? []);
}

/**
 * The write that made the event. A write that repeats an end under the same lease is told of the first one's event
 * again.
 */
function authorOf(event: JobEvent, authors: Author[], attempts: JobAttempt[]): Author {
  if (authors.length > 1) {
    for (const { end, under } of authors) {
      if (end === undefined) throw new Error(`Two writes were told that they made ${JSON.stringify(event)}.`);
      expect(under).toEqual(authors[0]?.under);
    }
  }
  // A requeue that a pending cancel request turned into a cancellation keeps its reason; a plain cancellation has none.
  const wasRequeue = (attempts[event.attempt - 1]?.failure ?? null) !== null;
  const author =
    authors.find(({ end }) => (end?.kind === "requeue") === wasRequeue) ??
    authors[0] ??
    authorByDependency(event);
  if (author === undefined) throw new Error(`No write's answer had the event ${JSON.stringify(event)}.`);
  expect(author.type).toBe(event.type);
  return author;
}

/** A change that came along with one of another job; `dependency-rules.ts` checks that it was right. */
function authorByDependency({ type, data }: JobEvent): Author | undefined {
  const isAlong = (type === "failed" || type === "retry_requested") && data["dependency"] !== undefined;
  return isAlong ? { type } : undefined;
}

/** A write under a lease counts only while the job is processing under exactly that lease. */
function assertFence(before: ModelState, after: ModelState, event: JobEvent, { under, given }: Author): void {
  if (under !== undefined) {
    const { attempt, leaseNumber } = under;
    expect({ ...event, attempt, leaseNumber, status: "processing" }).toMatchObject({
      ...{ attempt: before.attempt, leaseNumber: before.leaseNumber, status: before.status },
    });
  }
  if (given !== undefined) {
    expect([given.attempt, given.leaseNumber]).toEqual([after.attempt, after.leaseNumber]);
  }
}

function assertOutputs(job: Job, outputs: JobOutput[], authors: Author[]): void {
  const sets = authors.flatMap(({ end }) => (end?.kind === "completed" ? [end.outputs] : []));
  const keys = outputs.map(({ storageKey }) => storageKey);
  if (job.status !== "completed") expect(keys).toEqual([]);
  else expect(sets.map((set) => set.map(({ storageKey }) => storageKey))).toContainEqual(keys);
}

function step(state: ModelState, event: JobEvent, author: Author): ModelState {
  const allow = (...statuses: JobStatus[]): void => {
    expect({
      event: event.type,
      after: state.status,
      allowed: statuses.includes(state.status),
    }).toMatchObject({
      allowed: true,
    });
  };
  const ended = (status: JobStatus): ModelState => ({
    ...state,
    ...{ status, phase: null, isPaused: false, ends: state.ends + 1 },
    leaseNumber: state.leaseNumber + (author.takesOver === true ? 1 : 0),
  });
  switch (event.type) {
    case "accepted":
      throw new Error("A job is accepted once.");
    case "claimed":
      allow("queued");
      expect(state.isPaused).toBe(false);
      return {
        ...state,
        ...{ status: "processing", phase: "waiting", attempt: state.attempt + 1 },
        leaseNumber: state.leaseNumber + 1,
      };
    case "submitted":
    case "executing":
    case "saving":
      allow("processing");
      expect(mayAdvance(state.phase ?? "saving", event.type) && state.phase !== event.type).toBe(true);
      return { ...state, phase: event.type };
    case "adopted":
      allow("processing");
      return { ...state, leaseNumber: state.leaseNumber + 1 };
    case "cancel_requested":
      allow("processing");
      expect(state.isCancelRequested).toBe(false);
      return { ...state, isCancelRequested: true };
    case "requeued":
      allow("processing");
      expect(state.isCancelRequested).toBe(false);
      return { ...requeued(state, author), isPaused: event.data["paused"] === true };
    case "completed":
    case "failed":
      allow(event.data["code"] === "dependency-failed" ? "queued" : "processing");
      return ended(event.type);
    case "timeout":
      allow(author.under === undefined ? "queued" : "processing");
      return ended("timeout");
    case "cancelled":
      if (author.under === undefined && author.takesOver !== true) {
        allow("queued");
        return { ...ended("cancelled"), isCancelRequested: true };
      }
      allow("processing");
      return withCounts(ended("cancelled"), author);
    case "retry_requested":
      allow("failed", "timeout", "cancelled");
      return {
        ...{ ...initial, ends: state.ends },
        ...{ attempt: state.attempt, leaseNumber: state.leaseNumber },
        ...{ isPaused: event.data["paused"] === true, priority: state.priority },
      };
    case "paused":
      allow("queued");
      expect(state.isPaused).toBe(false);
      return { ...state, isPaused: true };
    case "priority_changed":
      allow("queued");
      return {
        ...state,
        priority: jobPriorities.find((each) => each === event.data["to"]) ?? state.priority,
      };
    case "resumed":
      allow("queued");
      expect(state.isPaused).toBe(true);
      return { ...state, isPaused: false };
    default:
      return event.type satisfies never;
  }
}

function requeued(state: ModelState, author: Author): ModelState {
  const leaseNumber = state.leaseNumber + (author.takesOver === true ? 1 : 0);
  return withCounts({ ...state, status: "queued", phase: "waiting", leaseNumber }, author);
}

function withCounts(state: ModelState, { end }: Author): ModelState {
  if (end?.kind !== "requeue") return state;
  return {
    ...state,
    attemptsCharged: state.attemptsCharged + (end.charged ? 1 : 0),
    crashCount: state.crashCount + (end.counts === "crash" ? 1 : 0),
    outOfMemoryCount: state.outOfMemoryCount + (end.counts === "outOfMemory" ? 1 : 0),
  };
}
