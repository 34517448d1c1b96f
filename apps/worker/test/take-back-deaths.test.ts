import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { type ServiceProcess } from "@genga/testing";
import { sleepJob, startTwoServers, type TwoServers } from "./support/two-servers.ts";

// A worker dies in the middle of a take-back. Each of the two owns one server; the other one takes it over.

let farm: TwoServers;
/** Executes on the busy server, for longer than the test. */
let long: string;
/** Waits behind it. */
let waiting: string;

beforeAll(async () => {
  farm = await startTwoServers({ workers: 2, env: { LEASE_MS: "4000" } });
}, 180_000);
afterAll(async () => {
  await farm.stop();
}, 180_000);

beforeEach(async () => {
  await farm.untilBothTakeWork();
  await farm.drainEmpty();
  long = await farm.putOnBusy(sleepJob(600), "executing");
  waiting = await farm.putOnBusy(sleepJob(0.2));
  // Such jobs were measured by the tests before. Long ones are worth a take-back.
  await farm.database.query("UPDATE lanes SET run_ms = 60000, runs = 100");
}, 180_000);
afterEach(async () => {
  for (const worker of farm.workers) worker.signal("SIGCONT");
  // In the place of one that died.
  if (farm.workers.length < 2) await farm.startWorker();
  const { gate } = farm.busy;
  gate.hold = null;
  gate.holdReply = null;
  await farm.api.cancel(long);
  await farm.api.untilEnded(long);
  await farm.resumeEmpty();
}, 180_000);

/** Lets the take-back begin, and acts while its delete is on the way to the server, or while the answer to it is. */
async function duringDelete(at: "hold" | "holdReply", act: () => Promise<"break" | "pass">): Promise<void> {
  const acted = new Promise<void>((resolve, reject) => {
    let isFirst = true;
    farm.busy.gate[at] = async (method, path) => {
      if (method !== "POST" || path !== "/queue" || !isFirst) return "pass";
      isFirst = false;
      const answer = act();
      answer.then(() => {
        resolve();
      }, reject);
      return await answer;
    };
  });
  await farm.resumeEmpty();
  await acted;
}

async function ownerOf(server: "busy" | "empty"): Promise<ServiceProcess> {
  const { rows } = await farm.database.query<{ owner: string }>(
    "SELECT lease_owner AS owner FROM servers WHERE id = $1",
    [farm[server].id],
  );
  const owner = farm.workers.find(({ details }) => details["workerId"] === rows[0]?.owner);
  if (owner === undefined) throw new Error(`No worker owns the ${server} server.`);
  return owner;
}

async function kill(worker: ServiceProcess): Promise<void> {
  worker.signal("SIGKILL");
  await worker.exited;
  farm.workers.splice(farm.workers.indexOf(worker), 1);
}

/** While the long job goes on. @param codes which the failure of each attempt before the last one may have */
async function expectItRanOnce(...codes: string[]): Promise<void> {
  expect(await farm.api.untilEnded(waiting)).toMatchObject({ status: "completed" });
  const [last, ...earlier] = (await farm.attempts(waiting)).toReversed();
  expect(last).toMatchObject({ serverId: farm.empty.id, outcome: "completed" });
  expect(earlier.length).toBeGreaterThan(0);
  for (const attempt of earlier) {
    expect(attempt.serverId).toBe(farm.busy.id);
    expect(codes).toContain(attempt.code);
  }
  expect(await farm.executionsOf(waiting)).toBe(1);
  expect(await farm.jobRow(waiting)).toMatchObject({ attempts_charged: 0, crash_count: 0 });
  expect(await farm.api.job(long)).toMatchObject({ status: "processing", attempt: 1, phase: "executing" });
}

/** Of a prompt that is gone from the server: its new owner finds that out at once, or when it is asked for it, too. */
const foundAbsent = ["prompt-lost", "taken-back"];

test("the busy server's worker dies before the delete: its successor is asked again", async () => {
  const owner = await ownerOf("busy");
  await duringDelete("hold", async () => {
    await kill(owner);
    return "break";
  });
  await expectItRanOnce("taken-back");
  expect(await farm.eventTypes(waiting)).toContain("adopted");
}, 180_000);

test("the busy server's worker dies after the delete: its successor finds nothing, and queues the job", async () => {
  const owner = await ownerOf("busy");
  await duringDelete("holdReply", async () => {
    await kill(owner);
    return "break";
  });
  await expectItRanOnce(...foundAbsent);
}, 180_000);

test("the busy server's worker is paused past its lease after the delete, and changes nothing when it wakes", async () => {
  const owner = await ownerOf("busy");
  await duringDelete("holdReply", () => {
    owner.signal("SIGSTOP");
    return Promise.resolve("pass");
  });
  await expectItRanOnce(...foundAbsent);
  const before = await farm.jobRow(waiting);
  owner.signal("SIGCONT");
  await owner.line(/another worker (holds the job|owns the server) now/);
  expect(await farm.jobRow(waiting)).toEqual(before);
  expect(await farm.executionsOf(waiting)).toBe(1);
}, 180_000);

test("the idle server's worker dies after it has asked: the job runs there once the server has an owner again", async () => {
  const owner = await ownerOf("empty");
  await duringDelete("hold", async () => {
    await kill(owner);
    return "pass";
  });
  await expectItRanOnce("taken-back");
}, 180_000);

test("the idle server's worker dies before it claims the job that is kept for it: the same", async () => {
  const owner = await ownerOf("empty");
  await duringDelete("hold", () => {
    owner.signal("SIGSTOP");
    return Promise.resolve("pass");
  });
  for (;;) {
    const { status, take_back_for: keptFor } = await farm.jobRow(waiting);
    if (status === "queued" && keptFor === farm.empty.id) break;
    await sleep(10);
  }
  await kill(owner);
  await expectItRanOnce("taken-back");
}, 180_000);
