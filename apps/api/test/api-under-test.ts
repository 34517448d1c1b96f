import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { objectInfo } from "@genga/comfyui-recordings";
import { migrate, openDatabase, type Database } from "@genga/database";
import {
  AttemptRecorder,
  outputStorageKey,
  type AttemptEnd,
  type Job,
  type JobPhase,
  type JobProgress,
  type Json,
  type LeasedJob,
  type NewOutput,
  type ServerLease,
  type Signals,
} from "@genga/jobs";
import { createSignals } from "@genga/queue";
import { readConfiguration, type Logger } from "@genga/runtime";
import { createFolderStorage } from "@genga/storage";
import { createTestDatabase, testServiceUrl, type TestDatabase } from "@genga/testing";
import { pino } from "pino";
import { startApi, type RunningApi } from "../src/start-api.ts";
import { type ApiTimes } from "../src/dependencies.ts";

/** An API on real services, and what a worker does to its jobs, at the test's pace. */
export interface ApiUnderTest {
  readonly url: string;
  /** Where ComfyUI's own protocol is served, if it is. */
  readonly doorUrl: string | null;
  readonly database: Database;
  readonly signals: Signals;
  readonly worker: TestWorker;
  /** Everything that was logged. */
  readonly logged: string[];
  /** The environment that this API was started with. */
  readonly env: Readonly<Record<string, string>>;
  /** Another process's API, over the same database. */
  startAnother(env?: Record<string, string>): Promise<RunningApi>;
  request(path: string, init?: RequestInit): Promise<Response>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  stop(): Promise<void>;
}

/** Node definitions as a real server gave them. */
export function recordedDefinitions(...packs: string[]): Promise<Record<string, Json>> {
  const texts = packs.map((pack) => objectInfo("0.3.64", pack));
  return Promise.resolve(
    Object.assign({}, ...texts.map((text) => JSON.parse(text) as Record<string, Json>)) as Record<
      string,
      Json
    >,
  );
}

export async function startApiUnderTest(
  options: { env?: Record<string, string>; times?: Partial<ApiTimes> } = {},
): Promise<ApiUnderTest> {
  const testDatabase: TestDatabase = await createTestDatabase({
    migrate: (databaseUrl) => migrate({ databaseUrl }),
  });
  const folder = await mkdtemp(join(tmpdir(), "genga-api-test-"));
  const env = {
    DATABASE_URL: testDatabase.url,
    REDIS_URL: testServiceUrl("TEST_REDIS_URL"),
    REDIS_PREFIX: `test-${randomUUID().slice(0, 8)}`,
    PORT: "0",
    DATA_DIR: folder,
    SUBMISSION_THREAD: "when-needed",
    ...options.env,
  };
  const logged: string[] = [];
  const log = capturingLogger(logged);
  const times = { serversMaxAgeMs: 20, ...options.times };
  const start = (more: Record<string, string> = {}): Promise<RunningApi> =>
    startApi(readConfiguration({ ...env, ...more }), log, { times });
  const apis = [await start()];
  const database = openDatabase({ databaseUrl: testDatabase.url, poolMax: 3 });
  const signals = createSignals({
    redisUrl: testServiceUrl("TEST_REDIS_URL"),
    prefix: env.REDIS_PREFIX,
    logger: log,
  });
  const worker = new TestWorker(database, signals, join(folder, "outputs"));
  await worker.listen();
  const { url, doorUrl } = apis[0]!;
  const request = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(
      path.startsWith("http") ? path : new URL(path.startsWith("/") ? path : `/api/anime/${path}`, url),
      init,
    );
  return {
    ...{ url, doorUrl },
    database,
    signals,
    logged,
    env,
    worker,
    startAnother: async (more) => {
      const another = await start(more);
      apis.push(another);
      return another;
    },
    request,
    post: (path, body, headers) =>
      request(path, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    stop: async () => {
      await Promise.all(apis.map((api) => api.stop()));
      await signals.close();
      await database.close();
      await testDatabase.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Does to rows, files and signals what apps/worker does. */
class TestWorker {
  readonly #database: Database;
  readonly #signals: Signals;
  readonly #recorder: AttemptRecorder;
  readonly #outputs: string;
  readonly #leases = new Map<string, ServerLease>();
  /** What it does when asked to read the definitions again. */
  onDefinitionsWanted: () => Promise<void> = () => Promise.resolve();

  constructor(database: Database, signals: Signals, outputs: string) {
    this.#database = database;
    this.#signals = signals;
    this.#recorder = new AttemptRecorder({ runs: database.jobRuns, signals });
    this.#outputs = outputs;
  }

  /** Answers requests to read the definitions again. */
  async listen(): Promise<void> {
    await this.#signals.subscribe("definitions-wanted", () => {
      void this.onDefinitionsWanted().then(() => {
        for (const serverId of this.#leases.keys()) this.#signals.publish("definitions-read", { serverId });
      });
    });
  }

  /** A server that is online with these definitions. */
  async registerServer(url: string, objectInfo: Record<string, Json>): Promise<string> {
    const [record] = await this.#database.servers.registerServers([{ url, slots: 2 }]);
    const id = record!.id;
    const [lease] = await this.#database.servers.acquireServers("test-worker", [id], 1, 600_000);
    if (lease !== undefined) this.#leases.set(id, lease);
    await this.setDefinitions(id, objectInfo);
    await this.#database.servers.describeServer(this.#leases.get(id)!, {
      version: "0.28.0",
      abilities: {
        ...{ cancelsById: true, namesPreviews: true, replacesNodes: true, hasAssets: false },
        uploadBytesMax: 104_857_600,
      },
    });
    await this.#database.servers.recordDevices(this.#leases.get(id)!, [
      { name: "cuda:0 <b>NVIDIA</b>", type: "cuda", totalBytes: 24_000_000_000, freeBytes: 3_000_000_000 },
    ]);
    await this.#database.servers.setServerState(this.#leases.get(id)!, "online", null);
    return id;
  }

  async setDefinitions(serverId: string, objectInfo: Record<string, Json>): Promise<void> {
    const hash = `test-${randomUUID()}`;
    await this.#database.servers.saveDefinitions(this.#leases.get(serverId)!, {
      hash,
      objectInfo,
      replacements: null,
    });
  }

  async setState(serverId: string, state: "online" | "unreachable", reason: string | null): Promise<void> {
    await this.#database.servers.setServerState(this.#leases.get(serverId)!, state, reason);
  }

  async claim(jobId: string, serverId: string): Promise<LeasedJob> {
    const job = await this.#database.jobRuns.findJob(jobId);
    if (job === null || job === "removed") throw new Error(`There is no job ${jobId}.`);
    const claim = {
      jobId,
      attempt: job.attempt + 1,
      ticketNumber: job.ticketNumber,
      serverId,
      workerId: "test-worker",
      clientId: "test-client",
      promptId: randomUUID(),
    };
    const [leased] = await this.#database.jobRuns.claimJobs([claim], 600_000);
    if (leased === undefined) throw new Error(`Job ${jobId} could not be claimed.`);
    return leased;
  }

  async report(leased: LeasedJob, phase: JobPhase, progress: Partial<JobProgress>): Promise<void> {
    await this.#recorder.recordProgress([
      {
        ...{ ...leaseOf(leased), phase, progress: { ...noProgress, ...progress } },
        ...{ batchId: leased.job.batchId, tenantId: leased.job.tenantId },
      },
    ]);
  }

  /** Live progress only, as between two writes. */
  signalProgress(leased: LeasedJob, percent: number, more: Partial<JobProgress> = {}): void {
    this.#signals.publish("job", {
      kind: "progress",
      jobId: leased.jobId,
      batchId: leased.job.batchId,
      tenantId: leased.job.tenantId,
      attempt: leased.attempt,
      phase: "executing",
      progress: { ...noProgress, percent, ...more },
    });
  }

  /** @param entry of a prompt of ComfyUI's clients: what its server's history says */
  async end(leased: LeasedJob, end: AttemptEnd, entry?: string): Promise<Job> {
    return (await this.#recorder.end(leaseOf(leased), end, entry)).job;
  }

  /** Ends it with these files as its outputs. */
  async complete(
    leased: LeasedJob,
    files: { filename: string; body: Buffer; mediaType?: string }[],
    texts: string[] = [],
  ): Promise<Job> {
    const storage = await createFolderStorage({ folder: this.#outputs });
    const outputs: NewOutput[] = [];
    for (const [index, { filename, body, mediaType }] of files.entries()) {
      const storageKey = outputStorageKey({ ...leaseOf(leased), index, filename });
      const stored = await storage.write({ storageKey, body: Readable.from([body]), bytesMax: 10_000_000 });
      outputs.push({
        ...{ nodeId: "7", key: "images", index, kind: "file" as const, filename, text: null },
        ...stored,
        mediaType: mediaType ?? stored.mediaType,
      });
    }
    for (const [index, text] of texts.entries()) outputs.push(textOutput(files.length + index, text));
    return this.end(leased, { kind: "completed", outputs });
  }
}

const noProgress: JobProgress = {
  percent: 0,
  node: null,
  nodeTitle: null,
  step: null,
  steps: null,
  nodesDone: null,
  nodesTotal: null,
  remainingLowMs: null,
  remainingHighMs: null,
};

function textOutput(index: number, text: string): NewOutput {
  return {
    nodeId: "8",
    key: "text",
    index,
    kind: "text",
    filename: null,
    mediaType: "text/plain",
    bytes: Buffer.byteLength(text),
    sha256: "cd".repeat(32),
    width: null,
    height: null,
    durationMs: null,
    storageKey: null,
    text,
  };
}

function leaseOf({ jobId, attempt, leaseNumber }: LeasedJob): {
  jobId: string;
  attempt: number;
  leaseNumber: number;
} {
  return { jobId, attempt, leaseNumber };
}

/** Keeps what is logged instead of printing it. */
function capturingLogger(lines: string[]): Logger {
  return pino({ level: "debug" }, { write: (line: string) => void lines.push(line) });
}
