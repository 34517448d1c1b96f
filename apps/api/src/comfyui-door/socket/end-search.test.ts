import { expect, test } from "@jest/globals";
import { type DoorPrompt, type UntoldEnd } from "@genga/jobs";
import { DueEnds } from "./due-ends.ts";
import { EndSearch } from "./end-search.ts";
import { LivePrompt } from "./live-prompt.ts";
import { ToldEnds } from "./told-ends.ts";

const dayMs = 86_400_000;

test("ends of one client that wait for their turn hide no missed ends of others, and hold back nobody else", async () => {
  const openedAt = Date.now() - dayMs / 2;
  const ofClient = (clientId: string, count: number, isBeforeRunning: boolean): UntoldEnd[] =>
    Array.from({ length: count }, (_unused, index) => {
      return { jobId: `${clientId} ${index}`, clientId, agoMs: dayMs, isBeforeRunning };
    });
  const noted = [
    ...ofClient("busy", 600, false),
    ...ofClient("back", 3, true),
    ...ofClient("long away", 600, true),
  ];
  const clientIds = ["busy", "back", "long away"];
  const ends = new DueEnds();
  const search = new EndSearch({
    ...{ tenantId: "tenant", ends, told: new ToldEnds(), isForgotten: () => false },
    clients: {
      listUntold: (_tenantId, asked, ofEachMax) =>
        Promise.resolve(
          asked.clientIds.flatMap((asked) =>
            noted.filter(({ clientId }) => clientId === asked).slice(0, ofEachMax),
          ),
        ),
    },
    audience: { clientIds, find: (id: string) => ({ id, openedAt }) as never },
    prompts: { of: () => undefined },
    conversations: { heardJobIds: [], isWaiting: (clientId) => clientId === "busy" },
  });
  await search.look();
  expect(ends.list(performance.now(), 3)).toEqual(["back 0", "back 1", "back 2"]);
  expect(clientIds.map((clientId) => ends.hasMissed(clientId))).toEqual([false, true, true]);
  expect(clientIds.map((clientId) => search.hasMore(clientId))).toEqual([false, false, true]);
});

test("old ends of a client that cannot be told hide no newer ones, also among many clients", async () => {
  const clientIds = Array.from({ length: 100 }, (_unused, index) => `client ${index}`);
  const noted = clientIds.flatMap((clientId) =>
    [...Array.from({ length: 60 }, (_unused, index) => `old ${index}`), "new"].map((name): UntoldEnd => {
      return { jobId: `${name} of ${clientId}`, clientId, agoMs: dayMs, isBeforeRunning: true };
    }),
  );
  const ends = new DueEnds();
  for (const { jobId } of noted) if (jobId.startsWith("old")) ends.retryLater(jobId);
  const search = new EndSearch({
    ...{ tenantId: "tenant", ends, told: new ToldEnds(), isForgotten: () => false },
    clients: {
      listUntold: (_tenantId, asked, ofEachMax) =>
        Promise.resolve(
          asked.clientIds.flatMap((asked) =>
            noted.filter(({ clientId }) => clientId === asked).slice(0, ofEachMax),
          ),
        ),
    },
    audience: { clientIds, find: (id: string) => ({ id, openedAt: Date.now() - dayMs / 2 }) as never },
    prompts: { of: () => undefined },
    conversations: { heardJobIds: [], isWaiting: () => false },
  });
  await search.look();
  expect(ends.list(performance.now(), 1_000)).toEqual(clientIds.map((clientId) => `new of ${clientId}`));
});

test("an end whose signal came before its prompt was heard of is looked for at once, unless it was told", () => {
  const search = new EndSearch({
    ...{ tenantId: "tenant", ends: new DueEnds(), told: new ToldEnds(), isForgotten: () => false },
    clients: { listUntold: () => Promise.resolve([]) },
    audience: { clientIds: [], find: () => undefined },
    prompts: { of: () => undefined },
    conversations: { heardJobIds: [], isWaiting: () => false },
  });
  const promptOf = (status: string): DoorPrompt =>
    ({ jobId: "job", status, attempt: 1 }) as unknown as DoorPrompt;
  const told = new LivePrompt(promptOf("completed"), { isEndTold: true });
  search.noteLearned([told, new LivePrompt(promptOf("processing"))]);
  expect(search.at).toBe(Number.POSITIVE_INFINITY);
  search.noteLearned([told, new LivePrompt(promptOf("completed"))]);
  expect(search.at).toBeLessThanOrEqual(performance.now());
});
