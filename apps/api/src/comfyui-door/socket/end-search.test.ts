import { expect, test } from "@jest/globals";
import { type UntoldEnd } from "@genga/jobs";
import { DueEnds } from "./due-ends.ts";
import { EndSearch } from "./end-search.ts";
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
