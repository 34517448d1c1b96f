import { chmodSync, mkdtempSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { redisProgram, type RedisWay } from "../src/redis/redis-program.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "genga-redis-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function program(place: string, name: string, says: string): string {
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, name), `#!/bin/sh\necho '${says}'\n`);
  chmodSync(join(place, name), 0o755);
  return join(place, name);
}

const find = (path: string, ...ways: RedisWay[]): ReturnType<typeof redisProgram> =>
  redisProgram({ cacheFolder: join(folder, "cache"), report: () => undefined, ways, env: { PATH: path } });

describe("the Redis program", () => {
  test("is the one on the PATH, Valkey first", async () => {
    program(join(folder, "bin"), "redis-server", "Redis server v=7.0.15 sha=0");
    const valkey = program(join(folder, "bin"), "valkey-server", "Valkey server v=9.1.2 sha=0");
    const found = await find(join(folder, "bin"), "path");
    expect(found).toEqual({ path: valkey, name: "valkey", version: "9.1.2" });
  });

  test("is the cached one where the one on the PATH is too old", async () => {
    program(join(folder, "bin"), "valkey-server", "Redis server v=5.0.14 sha=0");
    const cached = program(join(folder, "cache"), "valkey-server", "Redis server v=6.2.0 sha=0");
    const found = await find(join(folder, "bin"), "path", "cache");
    expect(found).toEqual({ path: cached, name: "redis", version: "6.2.0" });
  });

  test("when there is none, leads to a message with five ways and what was tried", async () => {
    const search = find(join(folder, "empty"), "path", "cache", "pip");
    await expect(search).rejects.toMatchObject({ code: "PROGRAM_UNAVAILABLE" });
    await expect(search).rejects.toThrow(
      /1\. set REDIS_URL[^]*2\. install[^]*3\. put[^]*4\. install python3[^]*5\. docker[^]*pip could not fetch/,
    );
  });
});
