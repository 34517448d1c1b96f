import { randomBytes } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { TenantNames } from "./tenant-names.ts";

describe("a tenant's names", () => {
  const secret = randomBytes(32);

  test("are the same in every process that knows the tenant's secret and SECRETS_KEY", () => {
    const [one, other] = [new TenantNames(secret, "key"), new TenantNames(new Uint8Array(secret), "key")];
    expect(one.of("output-file", "job", 1)).toBe(other.of("output-file", "job", 1));
    expect(one.of("output-file", "job", 1)).toMatch(/^[0-9a-f]{32}$/);
  });

  test("differ by their use, by every part, by tenant and by SECRETS_KEY", () => {
    const names = new TenantNames(secret, "key");
    const all = [
      names.of("output-file", "job", 1),
      names.of("output-folder", "job", 1),
      names.of("output-file", "job", 2),
      names.of("output-file", "jo", "b1"),
      names.of("output-file", "job1"),
      new TenantNames(randomBytes(32), "key").of("output-file", "job", 1),
      new TenantNames(secret, "other key").of("output-file", "job", 1),
      new TenantNames(secret, undefined).of("output-file", "job", 1),
    ];
    expect(new Set(all).size).toBe(all.length);
  });
});
