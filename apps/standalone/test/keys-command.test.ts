import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate, openDatabase, type Database } from "@genga/database";
import { KeyNameTakenError } from "@genga/jobs";
import { createTestDatabase, launcher, type TestDatabase } from "@genga/testing";
import { KeysUsageError, runKeysCommand } from "../src/keys/keys-command.ts";

let scratch: TestDatabase;
let database: Database;
beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url, poolMax: 2 });
});
afterAll(async () => {
  await database.close();
  await scratch.drop();
});

const run = (...args: string[]): Promise<string> => runKeysCommand(args, database.keys);
const keyIn = (said: string): string => said.split("\n")[0]!;
const ownerOf = async (key: string): Promise<unknown> => {
  const found = await database.keys.findPrincipal(key);
  return found === null ? null : [found.principal.tenant.name, found.principal.role, found.principal.keyName];
};

test("makes, lists, rotates and revokes a key", async () => {
  expect(await run("list")).toContain("No key was made yet");
  const first = keyIn(await run("add", "ci", "--tenant", "studio", "--role", "operate"));
  expect(await ownerOf(first)).toEqual(["studio", "operate", "ci"]);
  await expect(run("add", "ci")).rejects.toBeInstanceOf(KeyNameTakenError);
  expect(await run("list")).toMatch(/^NAME +TENANT +ROLE .*\nci +studio +operate +valid/);
  expect(await run("list")).not.toContain(first);

  const said = await run("rotate", "ci");
  expect(said).toMatch(/The old key stays valid until 20\d\d-/);
  const second = keyIn(said);
  expect([await ownerOf(first), await ownerOf(second)]).not.toContain(null);
  expect(await run("list")).toContain("old key valid until 20");
  const third = keyIn(await run("rotate", "ci", "--overlap-minutes", "0"));
  expect([await ownerOf(first), await ownerOf(second)]).toEqual([null, null]);

  expect(await run("revoke", "ci")).toContain('"ci" is revoked');
  expect(await ownerOf(third)).toBeNull();
  await expect(run("revoke", "ci")).rejects.toThrow('There is no valid key "ci".');
  expect(await run("list")).toContain("revoked 20");
  const { items } = await database.audit.listEvents({ limit: 10 });
  expect(items.map(({ action, keyName }) => [action, keyName])).toEqual(
    ["key-revoked", "key-rotated", "key-rotated", "key-added"].map((action) => [action, "npm run keys"]),
  );
});

test("makes a key that may submit, of the tenant default, unless told otherwise", async () => {
  expect(await ownerOf(keyIn(await run("add", "plain")))).toEqual(["default", "submit", "plain"]);
});

test.each([
  [[]],
  [["remove", "ci"]],
  [["add"]],
  [["add", "a:b"]],
  [["add", "x", "--role", "admin"]],
  [["add", "x", "--tenant", "operate"]],
  [["add", "x", "--nothing"]],
  [["add", "x", "y"]],
  [["rotate", "nobody"]],
  [["rotate", "nobody", "--overlap-minutes", "-1"]],
  [["revoke"]],
])("refuses %j and changes nothing", async (args) => {
  const before = await run("list");
  await expect(run(...args)).rejects.toBeInstanceOf(KeysUsageError);
  expect(await run("list")).toBe(before);
});

test("is a command that works on DATABASE_URL, and says what it takes", async () => {
  const command = (...args: string[]): SpawnSyncReturns<string> =>
    spawnSync(process.execPath, [launcher, "apps/standalone/src/keys/keys-main.ts", ...args], {
      env: { ...process.env, DATABASE_URL: scratch.url, NODE_OPTIONS: "" },
      encoding: "utf8",
    });
  const { stdout, status } = command("add", "by-command", "--role", "read");
  expect([status, await ownerOf(keyIn(stdout))]).toEqual([0, ["default", "read", "by-command"]]);
  const wrong = command("ad", "x");
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('"ad" is not known.')]);
}, 180_000);
