import { describe, expect, test } from "@jest/globals";
import { type Job } from "../job/job.ts";
import { type Announcement } from "../ports/job-announcer.ts";
import { TicketAnnouncer } from "./ticket-announcer.ts";

interface Trip {
  ids: string[];
  areNew: boolean;
}

/** Redis as a list of trips, each of which lasts until it is let go. */
function announcerOf(failures: Error[] = []): {
  announcer: TicketAnnouncer;
  trips: Trip[];
  marked: string[];
  warnings: object[];
  letGo: () => Promise<void>;
} {
  const trips: Trip[] = [];
  const marked: string[] = [];
  const warnings: object[] = [];
  const held: (() => void)[] = [];
  const announcer = new TicketAnnouncer({
    tickets: {
      add: async (announcements: Announcement[], { areNew = false } = {}) => {
        trips.push({ ids: announcements.map(({ jobId }) => jobId), areNew });
        await new Promise<void>((resolve) => held.push(resolve));
        const failure = failures.shift();
        if (failure !== undefined) throw failure;
      },
    },
    announcer: {
      countFromBases: (announcements) => Promise.resolve(announcements),
      markEnqueued: (tickets) => {
        marked.push(...tickets.map(({ jobId }) => jobId));
        return Promise.resolve(tickets.length);
      },
    },
    logger: { warn: (details) => void warnings.push(details) },
  });
  const goOn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  const letGo = async (): Promise<void> => {
    await goOn();
    held.shift()?.();
    await goOn();
  };
  return { announcer, trips, marked, warnings, letGo };
}

function jobsNamed(...ids: string[]): Job[] {
  return ids.map(
    (id) =>
      ({
        ...{ id, attempt: 0, type: "image", lane: "default", priority: "normal", rank: 1 },
        ...{ status: "queued", runAt: null, pausedAt: null, openDependencies: 0 },
      }) as Job,
  );
}

describe("Tickets of accepted jobs", () => {
  test("are not added for jobs that must wait", async () => {
    const { announcer, trips, letGo } = announcerOf();
    const [ready, scheduled, paused, ended] = jobsNamed("a", "b", "c", "d");
    const waiting = [
      { ...scheduled!, runAt: new Date() },
      { ...paused!, pausedAt: new Date() },
    ];
    announcer.announce([...waiting, ready!, { ...ended!, status: "cancelled" }], { areNew: true });
    await letGo();
    await announcer.announced();
    expect(trips).toEqual([{ ids: ["a"], areNew: true }]);
  });

  test("that come while others are on their way go together with the next trip", async () => {
    const { announcer, trips, marked, letGo } = announcerOf();
    announcer.announce(jobsNamed("a"), { areNew: true });
    announcer.announce(jobsNamed("b"), { areNew: true });
    announcer.announce(jobsNamed("c", "d"), { areNew: true });
    await letGo();
    await letGo();
    await announcer.announced();
    expect(trips.map(({ ids }) => ids)).toEqual([["a"], ["b", "c", "d"]]);
    expect(marked).toEqual(["a", "b", "c", "d"]);
  });

  test("of many jobs go in a small trip at first, the most urgent ones, so that servers can begin", async () => {
    const { announcer, trips, letGo } = announcerOf();
    const jobs = jobsNamed(...Array.from({ length: 200 }, (_, index) => `job-${index}`));
    const urgent = { ...jobs[150]!, priority: "urgent" as const };
    announcer.announce(jobs.with(150, urgent), { areNew: true });
    for (let trip = 0; trip < 2; trip += 1) await letGo();
    await announcer.announced();
    const others = jobs.flatMap(({ id }) => (id === urgent.id ? [] : [id]));
    const [first = [], ...rest] = trips.map(({ ids }) => ids);
    expect(first).toEqual([urgent.id, ...others.slice(0, 31)]);
    expect(rest).toEqual([others.slice(31)]);
  });

  test("of retried jobs go apart, since an earlier ticket of theirs may have to be looked for", async () => {
    const { announcer, trips, letGo } = announcerOf();
    announcer.announce(jobsNamed("a"), { areNew: true });
    announcer.announce(jobsNamed("b"), { areNew: false });
    announcer.announce(jobsNamed("c"), { areNew: true });
    for (let trip = 0; trip < 3; trip += 1) await letGo();
    await announcer.announced();
    expect(trips).toEqual([
      { ids: ["a"], areNew: true },
      { ids: ["b"], areNew: false },
      { ids: ["c"], areNew: true },
    ]);
  });

  test("of jobs that wait for others are not added", async () => {
    const { announcer, trips, letGo } = announcerOf();
    const [ready, waiting] = jobsNamed("a", "b");
    announcer.announce([{ ...waiting!, openDependencies: 1 }], { areNew: true });
    announcer.announce([ready!, { ...waiting!, openDependencies: 2 }], { areNew: true });
    await letGo();
    await announcer.announced();
    expect(trips.map(({ ids }) => ids)).toEqual([["a"]]);
  });

  test("are left to the sweeper when Redis is away, without a time-out for each of them", async () => {
    const { announcer, trips, marked, warnings, letGo } = announcerOf([new Error("Redis is away")]);
    announcer.announce(jobsNamed("a"), { areNew: true });
    announcer.announce(jobsNamed("b", "c"), { areNew: true });
    await letGo();
    await announcer.announced();
    expect(trips).toHaveLength(1);
    expect(warnings).toMatchObject([{ jobs: 3 }]);
    announcer.announce(jobsNamed("d"), { areNew: true });
    await letGo();
    await announcer.announced();
    expect(marked).toEqual(["d"]);
  });
});
