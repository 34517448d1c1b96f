import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type DoorFileName } from "@genga/jobs";
import pg from "pg";
import { openTestStores, type TestStores } from "./test-stores.ts";

// Names of uploads, of which clients may send any number under one name.

let stores: TestStores;
let client: pg.Client;
let tenantId: string;
const uploads: string[] = [];

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  tenantId = (await stores.tenants.defaultTenant()).id;
  for (const digit of ["1", "2", "3"]) {
    const { id } = await stores.uploads.saveUpload({
      ...{ tenantId, sha256: digit.repeat(64), mediaType: "image/png", bytes: 1, width: 1, height: 1 },
      ...{ frames: 1, durationMs: null, blake3: null },
    });
    uploads.push(id);
  }
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

const taken = 10_000;
const named = async (upload: number, name = "canvas.png", overwrite = false): Promise<string> => {
  const wanted: DoorFileName = { type: "input", subfolder: "", name };
  return (await stores.doorFiles.nameUpload(tenantId, wanted, { uploadId: uploads[upload]!, overwrite }))
    .name;
};

test("an upload is named however many names are taken, the first free one, or the one that has its content", async () => {
  await client.query(
    `INSERT INTO door_files (tenant_id, type, subfolder, name, upload_id)
     SELECT $1, 'input', '', CASE WHEN i = 0 THEN 'canvas.png' ELSE 'canvas (' || i || ').png' END, $2
     FROM generate_series(0, $3::int) i`,
    [tenantId, uploads[0], taken],
  );
  expect(await named(0)).toBe("canvas.png");
  expect(await named(1)).toBe(`canvas (${taken + 1}).png`);
  expect(await named(1)).toBe(`canvas (${taken + 1}).png`);
  await client.query("DELETE FROM door_files WHERE name = 'canvas (7).png'");
  expect(await named(2)).toBe("canvas (7).png");
  expect(await named(2, "canvas.png", true)).toBe("canvas.png");
  expect(await named(2)).toBe("canvas.png");
}, 120_000);

test("uploads that are named at once under one name get names of their own", async () => {
  const names = await Promise.all([0, 1, 2, 0].map((upload) => named(upload, "once.png")));
  expect(names[3]).toBe(names[0]);
  expect(names.slice(0, 3).toSorted()).toEqual(["once (1).png", "once (2).png", "once.png"]);
});
