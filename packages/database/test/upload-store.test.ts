import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { migrate, openDatabase, type Database } from "@genga/database";
import { type NewUpload } from "@genga/jobs";
import { createTestDatabase, type TestDatabase } from "@genga/testing";

let scratch: TestDatabase;
let database: Database;
let tenantId: string;
let otherTenantId: string;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  tenantId = (await database.tenants.defaultTenant()).id;
  otherTenantId = (await database.tenants.ensureTenants(["studio"]))[0]!.id;
});
afterAll(async () => {
  await database.close();
  await scratch.drop();
});

const uploadOf = (sha256: string, owner = tenantId): NewUpload => ({
  tenantId: owner,
  sha256,
  mediaType: "image/png",
  bytes: 1234,
  width: 640,
  height: 480,
  frames: 1,
  durationMs: null,
  blake3: null,
});
const content = (letter: string): string => letter.repeat(64);

describe("The upload store on PostgreSQL", () => {
  test("keeps the same content of one tenant once, however many requests send it at the same time", async () => {
    const saved = await Promise.all(
      Array.from({ length: 8 }, () => database.uploads.saveUpload(uploadOf(content("a")))),
    );
    expect(new Set(saved.map(({ id }) => id)).size).toBe(1);
    expect(saved.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(saved[0]).toEqual({
      isNew: expect.any(Boolean) as unknown,
      ...uploadOf(content("a")),
      id: saved[0]!.id,
      createdAt: expect.any(Date) as unknown,
    });
  });

  test("never shows a tenant the uploads of another one", async () => {
    const { id } = await database.uploads.saveUpload(uploadOf(content("b")));
    const [own] = await database.uploads.findUploads(tenantId, [id]);
    const others = await database.uploads.saveUpload(uploadOf(content("b"), otherTenantId));
    expect(others.id).not.toBe(id);
    expect(await database.uploads.findUploads(tenantId, [id, others.id])).toEqual([own]);
    const secret = await database.uploads.saveUpload(uploadOf(content("c"), otherTenantId));
    expect(await database.uploads.findUploadsByContent(tenantId, [content("b"), secret.sha256])).toEqual([
      own,
    ]);
  });

  test("does not find ids that are not UUIDs", async () => {
    expect(await database.uploads.findUploads(tenantId, ["cat.png", "", "1"])).toEqual([]);
  });
});
