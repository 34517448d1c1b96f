import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { readConfiguration } from "@genga/runtime";
import { ownSecretsKey } from "./own-secrets-key.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "genga-secrets-key-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test("a key is made once, is one that every process takes, and only its owner can read it", () => {
  const dataDir = join(folder, "data");
  const key = ownSecretsKey(dataDir);
  expect(ownSecretsKey(dataDir)).toBe(key);
  expect(readConfiguration({ SECRETS_KEY: key }).secretsKeys).toEqual([key]);
  expect(statSync(join(dataDir, "secrets-key")).mode & 0o777).toBe(0o600);
  expect(ownSecretsKey(join(folder, "other"))).not.toBe(key);
});
