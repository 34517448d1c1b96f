import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  type Stack,
  type TestDatabase,
  askUntil,
} from "@genga/testing";
import { z } from "zod";
import { findPreviousVersion } from "./previous-version.ts";

// A deploy replaces one process after the other. Meanwhile this version and the one before it work on one database, one Redis
// and the same servers; and a version that does not do well is replaced by the one before it.

const serversSchema = z.object({ servers: z.array(z.object({ state: z.string() })) });
const previous = await findPreviousVersion();
const described = "reason" in previous ? describe.skip : describe;

described(
  `the previous version beside this one${"reason" in previous ? ` (skipped: ${previous.reason})` : ""}`,
  () => {
    let database: TestDatabase;
    let stack: Stack;
    let older: ApiClient;
    let newer: ApiClient;
    const checkout = "reason" in previous ? undefined : previous.folder;

    beforeAll(async () => {
      database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
      stack = await startStack({
        databaseUrl: database.url,
        workers: 0,
        env: { LEASE_MS: "3000", SECRETS_KEY: "k9vJ0m2Qe5yH7sW1xC4bN8tR3uL6pZ0aD2gF5jK7qM4=" },
      });
      newer = new ApiClient(stack.url);
      older = new ApiClient(String((await stack.startApi({}, checkout)).details["url"]));
    }, 180_000);

    afterAll(async () => {
      await stack.stop();
      await database.drop();
    }, 180_000);

    const renders = async (): Promise<string[]> => stack.simulators[0]!.executions();

    /** Both versions show the job and its outputs, with the same bytes. */
    async function expectShownByBoth(id: string): Promise<void> {
      const [one, other] = await Promise.all([older.job(id), newer.job(id)]);
      expect([one.status, other.status]).toEqual(["completed", "completed"]);
      expect(one.attempt).toBe(other.attempt);
      const [ofOlder, ofNewer] = await Promise.all([older.outputs(id), newer.outputs(id)]);
      expect(ofOlder.map(({ sha256 }) => sha256)).toEqual(ofNewer.map(({ sha256 }) => sha256));
      const [output] = ofOlder;
      expect(await older.download(output!.id)).toEqual(await newer.download(output!.id));
    }

    /** A batch that one version's API takes, of which one version's worker does a part, and the other's worker the rest. */
    async function passOn(
      api: ApiClient,
      other: ApiClient,
      workers: { first?: string | undefined; second?: string | undefined; firstEnds: NodeJS.Signals },
    ): Promise<void> {
      const before = new Set(await renders());
      const first = await stack.startWorker({}, workers.first);
      const { id: batch, jobIds } = await api.submitBatch(
        Array.from({ length: 8 }, (_, index) => ({
          type: "workflow",
          workflow: sleepWorkflow(index === 3 ? 4 : 0.4),
        })),
      );
      // Of all kinds that have parameters, and one that waits for another.
      const image = await other.submit({ type: "image", prompt: "a cat", priority: "low", tags: ["mixed"] });
      const dependent = await api.submit({
        type: "workflow",
        workflow: sleepWorkflow(0.1),
        dependsOn: [jobIds[7]!],
      });
      await other.until(jobIds[3]!, ({ phase }) => phase === "executing");
      // This prompt runs, and the next one waits on the server: their jobs are adopted.
      first.signal(workers.firstEnds);
      await first.exited;
      const second = await stack.startWorker({}, workers.second);
      await second.line(/job adopted/);
      const all = [...jobIds, image, dependent];
      // Each API tells the end that the other version's worker announces.
      for (const [index, id] of all.entries())
        expect(await (index % 2 === 0 ? api : other).untilEnded(id)).toMatchObject({ status: "completed" });
      for (const id of all) await expectShownByBoth(id);
      expect((await other.batch(batch)).counts["completed"]).toBe(8);

      const cancelled = await other.submit({ type: "workflow", workflow: sleepWorkflow(120) });
      await api.until(cancelled, ({ phase }) => phase === "executing");
      expect(await api.cancel(cancelled)).toBe(202);
      await expect(other.untilEnded(cancelled)).resolves.toMatchObject({ status: "cancelled" });

      const rendered = (await renders()).filter((promptId) => !before.has(promptId));
      expect(new Set(rendered).size).toBe(rendered.length);
      expect(rendered).toHaveLength(all.length + 1);
      expect(await second.stop()).toBe(0);
    }

    test("an upgrade: the older worker leaves, and this version's adopts what it began", async () => {
      await passOn(newer, older, { first: checkout, firstEnds: "SIGTERM" });
    }, 180_000);

    test("a state of servers that the older version does not know", async () => {
      const worker = await stack.startWorker();
      const running = await older.submit({ type: "workflow", workflow: sleepWorkflow(4) });
      await older.until(running, ({ phase }) => phase === "executing");
      worker.signal("SIGUSR2");
      await worker.line(/draining: /);
      const waiting = await older.submit({ type: "workflow", workflow: sleepWorkflow(0.1) });
      const stateBy = async (api: ApiClient): Promise<string | undefined> =>
        serversSchema.parse(await (await api.request("GET", "servers")).json()).servers[0]?.state;
      await askUntil(
        () => stateBy(newer),
        (state) => state === "leaving",
      );
      // The older API has read the state, too, for which it has no name.
      await older.job(waiting);
      for (const path of [
        "servers",
        "workers",
        "queue",
        "health",
        `jobs/${waiting}`,
        `jobs/${running}/attempts`,
      ]) {
        const [one, other] = await Promise.all([older, newer].map((api) => api.request("GET", path)));
        expect({ path, older: one!.status, newer: other!.status }).toEqual({ path, older: 200, newer: 200 });
      }
      // It ends what it has, and the older version's worker does the rest.
      expect((await older.untilEnded(running)).status).toBe("completed");
      const next = await stack.startWorker({}, checkout);
      expect(await worker.stop()).toBe(0);
      expect((await newer.untilEnded(waiting)).status).toBe("completed");
      await expectShownByBoth(waiting);
      expect(await next.stop()).toBe(0);
    }, 180_000);

    test("a way back: this version's worker is killed, and the older one adopts what it began", async () => {
      await passOn(older, newer, { second: checkout, firstEnds: "SIGKILL" });
    }, 180_000);
  },
);
