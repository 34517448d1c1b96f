import { chmodSync, chownSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { startEmbeddedServices } from "../src/index.ts";
import { canReach, postgresAccount } from "../src/postgres/postgres-account.ts";
import { isAlive } from "../src/process/process-identity.ts";
import { launchStarter, query, redis, temporaryFolder, type Starter } from "./starter.ts";

jest.setTimeout(60_000);

let folder: string;
const starters: Starter[] = [];

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  for (const { child, exited } of starters.splice(0)) {
    child.kill("SIGTERM");
    await exited;
  }
  for (const pid of serverPids()) await gone(pid);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

function launch(...args: Parameters<typeof launchStarter>): Starter {
  const starter = launchStarter(...args);
  starters.push(starter);
  return starter;
}

/** The pids that Postgres and Redis themselves have written down. */
function serverPids(): number[] {
  return ["postgres/cluster/postmaster.pid", "redis/redis.pid"].flatMap((file) => {
    try {
      return [Number(readFileSync(join(folder, file), "utf8").split("\n")[0])];
    } catch {
      return [];
    }
  });
}

async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await setImmediate();
}

/**
 * Resolves when Redis has handed all that it was told to the append-only file: nothing is left in its own buffer, so a
 * killed process loses nothing. (WAITAOF, which would also wait for the disk, is only there from Redis 7.2 on.)
 */
async function untilRedisSaved(url: string): Promise<void> {
  while (!String(await redis(url, "INFO", "persistence")).includes("\naof_buffer_length:0\r")) {
    await setImmediate();
  }
}

describe("the embedded services", () => {
  test("start durable servers and, stopped, leave no process behind", async () => {
    const lines: string[] = [];
    const services = await startEmbeddedServices({ dataDir: folder, report: (line) => lines.push(line) });
    const pids = serverPids();
    try {
      expect(await query(services.databaseUrl, "SHOW fsync")).toEqual([{ fsync: "on" }]);
      expect(await query(services.databaseUrl, "SHOW synchronous_commit")).toEqual([
        { synchronous_commit: "on" },
      ]);
      expect(await query(services.databaseUrl, "SELECT current_database() AS name")).toEqual([
        { name: "genga" },
      ]);
      expect(await redis(services.redisUrl, "CONFIG", "GET", "appendonly")).toEqual(["appendonly", "yes"]);
      expect(await redis(services.redisUrl, "CONFIG", "GET", "maxmemory-policy")).toEqual([
        "maxmemory-policy",
        "noeviction",
      ]);
      expect(pids).toHaveLength(2);
      expect(pids.every(isAlive)).toBe(true);
      expect(lines.join("\n")).toMatch(
        /postgres \d+\.\d+ ready on 127\.0\.0\.1:\d+ \(data in .+\) \d+\.\d s/,
      );
      expect(lines.join("\n")).toMatch(/(valkey|redis) \S+ ready on 127\.0\.0\.1:\d+/);
    } finally {
      await services.stop();
    }
    expect(pids.some(isAlive)).toBe(false);
  });

  test("refuse a wrong password", async () => {
    const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
    try {
      const wrong = services.databaseUrl.replace(/:[0-9a-f]+@/, ":wrong@");
      await expect(query(wrong, "SELECT 1")).rejects.toThrow(/password/);
      await expect(redis(services.redisUrl.replace(/:[0-9a-f]+@/, ":wrong@"), "PING")).rejects.toThrow();
    } finally {
      await services.stop();
    }
  });

  test("keep their data and their ports when everything is killed at once", async () => {
    const first = launch(folder);
    const { databaseUrl, redisUrl } = await first.ready;
    await query(databaseUrl, "CREATE TABLE kept AS SELECT 42 AS answer");
    await redis(redisUrl, "SET", "kept", "yes");
    await untilRedisSaved(redisUrl);
    for (const pid of [first.child.pid!, ...serverPids()]) process.kill(pid, "SIGKILL");
    await first.exited;

    const second = await launch(folder).ready;
    expect(second).toMatchObject({ databaseUrl, redisUrl });
    expect(await query(second.databaseUrl, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
    expect(await redis(second.redisUrl, "GET", "kept")).toBe("yes");
  });

  test("end by themselves when only their parent is killed, and start again", async () => {
    const first = launch(folder);
    const { databaseUrl } = await first.ready;
    await query(databaseUrl, "CREATE TABLE kept AS SELECT 42 AS answer");
    const left = serverPids();
    process.kill(first.child.pid!, "SIGKILL");
    await first.exited;
    for (const pid of left) await gone(pid);

    const second = await launch(folder).ready;
    expect(await query(second.databaseUrl, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
  });

  test("stop servers that an earlier start left behind before they use the folder", async () => {
    const first = launch(folder);
    await first.ready;
    const left = serverPids();
    // Frozen servers cannot hear that their parent is gone; they are what a killed machine's supervisor may leave.
    for (const pid of left) process.kill(pid, "SIGSTOP");
    process.kill(first.child.pid!, "SIGKILL");
    await first.exited;

    const second = launch(folder);
    await second.lineWith("left behind");
    for (const pid of left) process.kill(pid, "SIGCONT");
    await second.ready;
    expect(left.some(isAlive)).toBe(false);
  });

  test("refuse a folder that another start holds, and say who and since when", async () => {
    const first = launch(folder);
    await first.ready;
    const second = launch(folder);
    expect(await second.exited).toBe(3);
    expect(second.lines.join("\n")).toMatch(
      new RegExp(String.raw`in use by process ${first.child.pid!} \(.*keep-services.*\) since \d{4}-`),
    );
    expect(await query((await first.ready).databaseUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  test("let exactly one of two starts at the same moment in", async () => {
    const both = [launch(folder), launch(folder)];
    const results = await Promise.allSettled(both.map(({ ready }) => ready));
    expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  });

  test("start a server that died again, on its port and with its data", async () => {
    const lines: string[] = [];
    let restarted: (() => void) | undefined;
    const services = await startEmbeddedServices({
      dataDir: folder,
      report: (line) => {
        lines.push(line);
        if (lines.filter((said) => said.includes("ready on")).length === 4) restarted?.();
      },
    });
    try {
      await query(services.databaseUrl, "CREATE TABLE kept AS SELECT 42 AS answer");
      const bothAreBack = new Promise<void>((resolve) => (restarted = resolve));
      for (const pid of serverPids()) process.kill(pid, "SIGKILL");
      await bothAreBack;
      expect(lines.join("\n")).toContain("postgres ended unexpectedly (SIGKILL); starting it again");
      expect(await query(services.databaseUrl, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
      expect(await redis(services.redisUrl, "PING")).toBe("PONG");
    } finally {
      await services.stop();
    }
  });

  test("start nothing that is given", async () => {
    const given = { databaseUrl: "postgresql://elsewhere/genga", redisUrl: "redis://elsewhere" };
    const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined, ...given });
    expect(services).toMatchObject(given);
    await services.stop();
    expect(serverPids()).toEqual([]);
  });

  const { uid, gid } = postgresAccount();
  const isRoot = uid !== undefined;
  // Another user can be tried only by root, and only where that user may read this project.
  const canBeAnother = isRoot && canReach({ uid, gid: gid! }, process.cwd());
  (canBeAnother ? test : test.skip)("run for an ordinary user too", async () => {
    rmSync(folder, { recursive: true });
    folder = temporaryFolder();
    chownSync(folder, uid!, gid!);
    const services = await launch(folder, { uid: uid!, gid: gid! }).ready;
    expect(services.uid).toBe(uid);
    expect(await query(services.databaseUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    expect(await redis(services.redisUrl, "PING")).toBe("PONG");
  });

  (isRoot ? test : test.skip)(
    "keep root's data elsewhere when Postgres's user cannot enter the folder",
    async () => {
      chmodSync(folder, 0o700);
      const lines: string[] = [];
      const dataDir = join(folder, "project", ".genga");
      const services = await startEmbeddedServices({ dataDir, report: (line) => lines.push(line) });
      const place = /postgres keeps its data in (\S+), because its user/.exec(lines.join("\n"))?.[1];
      try {
        expect(place).toBeDefined();
        expect(await query(services.databaseUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
      } finally {
        await services.stop();
        if (place !== undefined) rmSync(place, { recursive: true });
      }
    },
  );
});
