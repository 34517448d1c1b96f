/**
 * What a zip of outputs costs the API: one with a file of over 4 GiB, and one of over 65,535 files, each with a graph of its
 * own. Python's zipfile reads both back; the memory of the API is looked at while it sends them.
 *
 * npm run bench:zip [-- --files 70000 --gib 4.5]
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { defaultTenantId, migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { outputStorageKey } from "@genga/jobs";
import { startServiceProcess, type ServiceProcess } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({ files: count.default(70_000), gib: z.coerce.number().default(4.5) });
const runProgram = promisify(execFile);

interface NewFile {
  jobId: string;
  index: number;
  storageKey: string;
  bytes: number;
  sha256: string;
}

/** A batch of completed jobs, one for each file. */
async function insertBatch(client: pg.Client, name: string, files: readonly NewFile[]): Promise<string> {
  const batchId = uuidv7();
  const given = [JSON.stringify(files), defaultTenantId, batchId, name];
  await client.query(
    `INSERT INTO batches (id, tenant_id, name, total) SELECT $3::uuid, $2::uuid, $4, jsonb_array_length($1::jsonb)`,
    given,
  );
  await client.query(
    `INSERT INTO jobs (id, tenant_id, batch_id, batch_index, type, status, phase, rank, attempt, percent, timeout_ms,
       project, scene, shot, finished_at)
     SELECT "jobId", $2::uuid, $3::uuid, index, 'image', 'completed', NULL, index, 1, 100, 60000, $4, 'one', 'two', now()
     FROM jsonb_to_recordset($1::jsonb) AS file("jobId" uuid, index int)`,
    given,
  );
  await client.query(
    `INSERT INTO workflows (hash, graph)
     SELECT encode(sha256("jobId"::text::bytea), 'hex'), jsonb_build_object('3', jsonb_build_object('class_type', 'KSampler',
       'inputs', jsonb_build_object('seed', index, 'steps', 20, 'cfg', 7, 'sampler_name', 'euler_ancestral', 'denoise', 1)))
     FROM jsonb_to_recordset($1::jsonb) AS file("jobId" uuid, index int)`,
    given.slice(0, 1),
  );
  await client.query(
    `INSERT INTO job_parameters (job_id, parameters, prompt_text, workflow_hash, uploads_noted)
     SELECT "jobId", jsonb_build_object('prompt', 'a harbour at dusk', 'seed', index), 'a harbour at dusk',
       encode(sha256("jobId"::text::bytea), 'hex'), true
     FROM jsonb_to_recordset($1::jsonb) AS file("jobId" uuid, index int)`,
    given.slice(0, 1),
  );
  await client.query(
    `INSERT INTO outputs (id, job_id, attempt, index, node_id, key, kind, filename, media_type, bytes, sha256, storage_key)
     SELECT uuidv7(), "jobId", 1, 0, '9', 'images', 'file', 'a.png', 'image/png', bytes, sha256, "storageKey"
     FROM jsonb_to_recordset($1::jsonb) AS file("jobId" uuid, bytes bigint, sha256 text, "storageKey" text)`,
    given.slice(0, 1),
  );
  await client.query("VACUUM ANALYZE");
  return batchId;
}

function placeOf(index: number): Pick<NewFile, "jobId" | "index" | "storageKey"> {
  const jobId = uuidv7();
  return {
    jobId,
    index,
    storageKey: outputStorageKey({ jobId, attempt: 1, leaseNumber: 1, index: 0, filename: "a.png" }),
  };
}

async function makeSmallFiles(outputs: string, files: number): Promise<NewFile[]> {
  const made: NewFile[] = [];
  for (let index = 0; index < files; index += 1) {
    const place = placeOf(index);
    const content = `the picture ${index}`;
    await mkdir(join(outputs, place.storageKey, ".."), { recursive: true });
    await writeFile(join(outputs, place.storageKey), content);
    made.push({
      ...place,
      bytes: content.length,
      sha256: createHash("sha256").update(content).digest("hex"),
    });
  }
  return made;
}

/** Zeros, which take no room on the disk. */
async function makeLargeFile(outputs: string, gib: number): Promise<NewFile> {
  const place = placeOf(0);
  const mib = Buffer.alloc(2 ** 20);
  const bytes = Math.round(gib * 1_024) * mib.length;
  const hash = createHash("sha256");
  for (let hashed = 0; hashed < bytes; hashed += mib.length) hash.update(mib);
  await mkdir(join(outputs, place.storageKey, ".."), { recursive: true });
  const file = await open(join(outputs, place.storageKey), "wx");
  await file.truncate(bytes);
  await file.close();
  return { ...place, bytes, sha256: hash.digest("hex") };
}

interface Sent {
  restMb: number;
  peakMb: number;
  seconds: number;
}

/** Fetches the zip into a file, and watches the memory of the API meanwhile. */
async function fetchZip(api: ServiceProcess, batchId: string, path: string): Promise<Sent> {
  const restMb = await residentMb(api.pid);
  let peakMb = restMb;
  const startedAt = performance.now();
  const done = new AbortController();
  const watching = (async () => {
    while (!done.signal.aborted) {
      peakMb = Math.max(peakMb, await residentMb(api.pid));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  try {
    const response = await fetch(`${String(api.details["url"])}/api/anime/batches/${batchId}/outputs.zip`);
    if (!response.ok || response.body === null)
      throw new Error(`The zip was answered with ${response.status}.`);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(path));
  } finally {
    done.abort();
    await watching;
  }
  return { restMb, peakMb, seconds: (performance.now() - startedAt) / 1_000 };
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s*(\d+) kB/.exec(status)?.[1]) / 1_024;
}

/** Python's zipfile checks every checksum, and every entry against the manifest. */
const readBack = `
import hashlib, json, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
manifest = json.loads(z.read("manifest.json"))
names = z.namelist()
assert names == [f["name"] for f in manifest["files"]] + ["manifest.json"], "names"
assert len(manifest["workflows"]) == len(manifest["files"]), "graphs"
for f in manifest["files"]:
    assert z.getinfo(f["name"]).file_size == f["bytes"], f
    if f["bytes"] < 1000: assert hashlib.sha256(z.read(f["name"])).hexdigest() == f["sha256"], f
print(len(names), sum(i.file_size for i in z.infolist()))
`;

async function measure(
  api: ServiceProcess,
  batchId: string,
  path: string,
): Promise<{ sent: Sent; read: string }> {
  const sent = await fetchZip(api, batchId, path);
  const { stdout } = await runProgram("python3", ["-c", readBack, path]);
  await rm(path);
  const read = stdout.trim();
  console.log(
    `${sent.seconds.toFixed(1)} s, API ${sent.restMb.toFixed(0)} MB, then ${sent.peakMb.toFixed(0)} MB; Python read ${read}`,
  );
  return { sent, read };
}

export async function run({ files, gib }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const outputs = join(folder, "outputs");
  const services = await startEmbeddedServices({
    dataDir: join(folder, "services"),
    report: () => undefined,
  });
  const client = new pg.Client({ connectionString: services.databaseUrl });
  try {
    await migrate({ databaseUrl: services.databaseUrl });
    await client.connect();
    const env = { DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, DATA_DIR: folder };
    const api = await startServiceProcess({
      entry: "apps/api/src/main.ts",
      env: { ...env, PORT: "0", LOG_LEVEL: "warn" },
    });
    try {
      const few = await insertBatch(client, "few", await makeSmallFiles(outputs, 1_000));
      const many = await insertBatch(client, "many", await makeSmallFiles(outputs, files));
      const large = await insertBatch(client, "large", [await makeLargeFile(outputs, gib)]);
      const path = join(folder, "outputs.zip");
      // What the first zip of a process takes, for code and connections, is no matter of size.
      await measure(api, few, path);
      const ofMany = await measure(api, many, path);
      const ofLarge = await measure(api, large, path);
      const row = (what: string, { sent, read }: typeof ofMany): Row => ({
        ...{ bench: "zip", figure: `${what}: RSS of the API at its highest ÷ before`, unit: "×" },
        ...{ value: sent.peakMb / sent.restMb, reach: { atMost: 1.3 } },
        note: `${sent.restMb.toFixed(0)} MB, at most ${sent.peakMb.toFixed(0)} MB, ${sent.seconds.toFixed(0)} s; entries and bytes: ${read}`,
      });
      return [row(`${files} files`, ofMany), row(`a file of ${gib} GiB`, ofLarge)];
    } finally {
      await api.stop();
    }
  } finally {
    await client.end().catch(() => undefined);
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
