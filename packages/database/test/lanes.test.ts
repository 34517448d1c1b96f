import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openDatabase, type Database } from "@genga/database";
import { laneOf, type Lane, type NewJob } from "@genga/jobs";
import { buildJob, buildLane } from "@genga/testing";
import { Client } from "pg";
import { v7 as uuidv7 } from "uuid";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: Client;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new Client({ connectionString: stores.url });
  await client.connect();
  const [tenant] = await stores.tenants.ensureTenants(["studio"]);
  tenantId = tenant!.id;
});

afterAll(async () => {
  await client.end();
  await stores.close();
});

const accept = (...jobs: NewJob[]) =>
  stores.jobRequests.insertJobs({ tenantId, batch: { id: uuidv7(), name: null }, jobs });

async function rowOf(name: string): Promise<Record<string, unknown> | undefined> {
  const { rows } = await client.query<Record<string, unknown>>(
    "SELECT *, last_used_at > now() - interval '1 minute' AS is_fresh FROM lanes WHERE name = $1",
    [name],
  );
  return rows[0];
}

async function setLastUse(lane: Lane, age: string): Promise<void> {
  await client.query("UPDATE lanes SET last_used_at = now() - $2::interval WHERE name = $1", [
    lane.name,
    age,
  ]);
}

test("jobs without a lane wait in the lane default, which has no row", async () => {
  const [job] = await accept(buildJob());
  expect(job).toMatchObject({ lane: "default" });
  expect(await rowOf("default")).toBeUndefined();
});

test("a lane gets a row with what its jobs need when the first of them is accepted", async () => {
  const lane = buildLane("first", { labels: ["gpu:24gb"] });
  const jobs = await accept(buildJob({ lane }), buildJob(), buildJob({ lane }));
  expect(jobs.map((job) => job.lane)).toEqual(["first", "default", "first"]);
  const { mainModel, needs } = lane;
  expect(await rowOf("first")).toMatchObject({
    main_model: mainModel,
    needs,
    run_ms: null,
    runs: 0,
    is_fresh: true,
  });
});

test("the name that a lane gets from its needs is one that the table takes", async () => {
  const { needs } = buildLane("x");
  const lanes = ["模型.safetensors", `${"Long Name ".repeat(20)}.ckpt`, null].map((mainModel) =>
    laneOf({ ...needs, mainModel }, ["pool:night"]),
  );
  await accept(...lanes.map((lane) => buildJob({ lane })));
  for (const lane of lanes) expect(await rowOf(lane.name)).toMatchObject({ main_model: lane.mainModel });
});

test("the last use of a lane is noted by each process, to the hour", async () => {
  const lane = buildLane("noted");
  await accept(buildJob({ lane }));
  await setLastUse(lane, "50 minutes");
  const other = openOther();
  await other.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob({ lane })] });
  expect(await rowOf("noted")).toMatchObject({ is_fresh: false });
  await other.close();

  await setLastUse(lane, "2 hours");
  const third = openOther();
  await third.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob({ lane })] });
  expect(await rowOf("noted")).toMatchObject({ is_fresh: true });
  await third.close();
});

test("a process that has used a lane within the hour writes nothing about it again", async () => {
  const lane = buildLane("remembered");
  await accept(buildJob({ lane }));
  await setLastUse(lane, "2 hours");
  await accept(buildJob({ lane }));
  expect(await rowOf("remembered")).toMatchObject({ is_fresh: false });
});

test("processes that use the same new lanes at the same moment do not hinder each other", async () => {
  const lanes = Array.from({ length: 20 }, (_, index) => buildLane(`shared-${index}`));
  const others = [openOther(), openOther(), openOther()];
  await Promise.all(
    others.map((other, turn) =>
      other.jobRequests.insertJobs({
        tenantId,
        batch: { id: uuidv7(), name: null },
        jobs: (turn % 2 === 0 ? lanes : lanes.toReversed()).map((lane) => buildJob({ lane })),
      }),
    ),
  );
  await Promise.all(others.map((other) => other.close()));
  const { rows } = await client.query<{ jobs: string }>(
    "SELECT count(*) AS jobs FROM jobs JOIN lanes ON lanes.name = jobs.lane WHERE lane LIKE 'shared-%'",
  );
  expect(rows).toEqual([{ jobs: "60" }]);
});

/** Stores as another process has them. */
function openOther(): Database {
  return openDatabase({ databaseUrl: stores.url });
}

test("jobs of lanes beyond the limit wait in the lane default", async () => {
  const scratch = await openTestStores({ lanesMax: 2 });
  const [tenant] = await scratch.tenants.ensureTenants(["studio"]);
  const acceptIn = async (...names: string[]) => {
    const jobs = names.map((name) => buildJob({ lane: buildLane(name) }));
    const batch = { id: uuidv7(), name: null };
    return await scratch.jobRequests.insertJobs({ tenantId: tenant!.id, batch, jobs });
  };
  const lanesOf = (jobs: { lane: string }[]): string[] => jobs.map(({ lane }) => lane);
  expect(lanesOf(await acceptIn("c", "d", "e", "d"))).toEqual(["c", "d", "default", "d"]);
  expect(lanesOf(await acceptIn("d", "e"))).toEqual(["d", "default"]);
  await scratch.close();
}, 180_000);

test("a process counts the lanes in which jobs wait, whichever process accepted them", async () => {
  const scratch = await openTestStores();
  const [tenant] = await scratch.tenants.ensureTenants(["studio"]);
  const acceptBy = async (by: Pick<Database, "jobRequests">, name: string) => {
    const jobs = [buildJob({ lane: buildLane(name) })];
    const [job] = await by.jobRequests.insertJobs({ tenantId: tenant!.id, batch: null, jobs });
    return job!;
  };
  const waiting = [await acceptBy(scratch, "a"), await acceptBy(scratch, "b"), await acceptBy(scratch, "b")];
  const full = openDatabase({ databaseUrl: scratch.url, lanesMax: 2 });
  expect((await acceptBy(full, "c")).lane).toBe("default");
  await full.close();

  for (const { id } of waiting.slice(1)) await scratch.jobRequests.requestCancel(id);
  const withRoom = openDatabase({ databaseUrl: scratch.url, lanesMax: 3 });
  expect((await acceptBy(withRoom, "c")).lane).toBe("c");
  expect((await acceptBy(withRoom, "d")).lane).toBe("default");
  await withRoom.close();
  await scratch.close();
}, 180_000);
