import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  startTcpProxy,
  type Passage,
  type ProxiedConnection,
  type ServiceProcess,
  type Stack,
  type TcpProxy,
  type TestDatabase,
  askUntil,
} from "@genga/testing";
import pg from "pg";
import { z } from "zod";

// One server and two workers, one of which stands by. At a point in a job's life, recognised by what passes the
// network, the owner is paused past its lease or killed; the other one takes over. Whoever woke up stands by next.

let database: TestDatabase;
let comfyui: TcpProxy;
let postgres: TcpProxy;
let stack: Stack;
let api: ApiClient;
let observer: pg.Client;

const leaseMs = 1_200;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url, workers: 0, env: { LEASE_MS: String(leaseMs) } });
  comfyui = await startTcpProxy({ targetUrl: stack.simulators[0]!.url });
  postgres = await startTcpProxy({ targetUrl: database.url });
  observer = new pg.Client({ connectionString: database.url });
  await Promise.all([observer.connect(), startWorker(), startWorker()]);
  api = new ApiClient(stack.url);
}, 180_000);

afterAll(async () => {
  await observer.end();
  await stack.stop();
  await Promise.all([comfyui.close(), postgres.close()]);
  await database.drop();
}, 180_000);

let started = 0;
const workers = new Map<string, ServiceProcess>();
async function startWorker(): Promise<void> {
  started += 1;
  const name = `worker-${started}`;
  const addresses = { DATABASE_URL: postgres.url, COMFYUI_URLS: comfyui.url };
  workers.set(name, await stack.startWorker({ ...addresses, WORKER_ID: name }));
}

const serversSchema = z.object({ servers: z.array(z.object({ worker: z.string().nullable() })) });

/** The worker that owns the server now. */
async function owner(): Promise<ServiceProcess> {
  const ask = async (): Promise<ServiceProcess | undefined> => {
    const { servers } = serversSchema.parse(await (await api.request("GET", "servers")).json());
    return workers.get(servers[0]?.worker ?? "");
  };
  return (await askUntil(ask, (worker) => worker !== undefined))!;
}

async function untilOwnedByAnother(than: ServiceProcess): Promise<void> {
  await askUntil(owner, (worker) => worker !== than);
}

/** How a point shows itself on a network; `answer`: the moment is that of the answer to it. */
interface Point {
  network: () => TcpProxy;
  sign: RegExp;
  answer: boolean;
}

const posting = /POST (?:\/api)?\/prompt /;
/** The name of the prepared statement: its text passes only once on each connection. */
const ending = /end-attempts/;
const points = {
  "the prompt is not posted yet": { network: () => comfyui, sign: posting, answer: false },
  "the prompt is posted and no reply has come": { network: () => comfyui, sign: posting, answer: true },
  "its outputs are being saved": { network: () => comfyui, sign: /GET (?:\/api)?\/view\?/, answer: false },
  "its end is about to be committed": { network: () => postgres, sign: ending, answer: false },
  "its end is committed and no answer has come": { network: () => postgres, sign: ending, answer: true },
} satisfies Record<string, Point>;

/**
 * Submits a job, acts when it reaches the point, and resolves with its id and the connection, held. In PostgreSQL's
 * statements the job is told by its id: a worker that was paused before may still be at the end of its own.
 */
async function submitUntil(
  { network, sign, answer }: Point,
  act: () => void,
): Promise<{ id: string; connection: ProxiedConnection }> {
  let id: string | null = null;
  const isOurs = (text: string): boolean => network() !== postgres || (id !== null && text.includes(id));
  const reached = new Promise<ProxiedConnection>((resolve) => {
    let asked: number | null = null;
    const stop = network().observe(({ direction, data, connection }: Passage) => {
      const text = data.toString("latin1");
      if (direction === "to-target" && asked === null && sign.test(text) && isOurs(text)) {
        asked = connection.id;
        if (answer) return;
      } else if (direction === "to-target" || connection.id !== asked) return;
      stop();
      connection.hold();
      act();
      resolve(connection);
    });
  });
  // Long enough for the id to be known before the end.
  id = await submit(1);
  return { id, connection: await reached };
}

interface Traces {
  row: Record<string, unknown>;
  events: string[];
  attempts: unknown[];
  outputs: { key: string }[];
}

/** Everything that a job leaves in the database. */
async function tracesOf(id: string): Promise<Traces> {
  const { rows } = await observer.query<Traces>(
    `SELECT to_jsonb(jobs) AS row,
      (SELECT jsonb_agg(type || ' ' || attempt ORDER BY sequence) FROM job_events WHERE job_id = jobs.id) AS events,
      (SELECT jsonb_agg(job_attempts ORDER BY number) FROM job_attempts WHERE job_id = jobs.id) AS attempts,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('key', storage_key)), '[]') FROM outputs WHERE job_id = jobs.id) AS outputs
    FROM jobs WHERE id = $1`,
    [id],
  );
  return rows[0]!;
}

const submit = (seconds: number): Promise<string> =>
  api.submit({ type: "workflow", workflow: sleepWorkflow(seconds) });
const executionsOf = async (id: string): Promise<number> => {
  const { attempts } = await tracesOf(id);
  const ours = new Set(attempts.map((attempt) => (attempt as { prompt_id: string }).prompt_id));
  return (await stack.simulators[0]!.executions()).filter((promptId) => ours.has(promptId)).length;
};

/** One terminal event, one set of outputs, and those of whoever held the lease at the end. */
function assertEndedOnce({ row, events, outputs }: Traces): void {
  const ends = events.filter((event) => /^(completed|failed|timeout|cancelled) /.test(event));
  expect(ends).toEqual([`completed ${String(row["attempt"])}`]);
  expect(outputs).toHaveLength(1);
  expect(outputs[0]?.key).toContain(`/${String(row["attempt"])}-${String(row["lease_number"])}/`);
}

/** New lines only: this worker may have lost a lease before. */
async function untilSaid(worker: ServiceProcess, pattern: RegExp, from: number): Promise<void> {
  while (!worker.lines.slice(from).some((line) => pattern.test(line))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("a worker that is paused past its lease changes nothing afterwards", () => {
  /** The job has ended under the successor; the first one wakes, and says that it lost; nothing has changed by that. */
  async function assertNothingFromBeyond(
    id: string,
    paused: ServiceProcess,
    wake: () => void,
  ): Promise<void> {
    const from = paused.lines.length;
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
    await untilOwnedByAnother(paused);
    const before = await tracesOf(id);
    assertEndedOnce(before);
    paused.signal("SIGCONT");
    wake();
    await untilSaid(paused, /another worker (holds the job|owns the server) now/, from);
    // A job more, from beginning to end: whatever the first one had on its way has arrived by then.
    expect((await api.untilEnded(await submit(0))).status).toBe("completed");
    expect(await tracesOf(id)).toEqual(before);
    expect(await executionsOf(id)).toBe(1);
  }

  test.each(Object.entries<Point>(points))(
    "while %s",
    async (name, point) => {
      const paused = await owner();
      try {
        const { id, connection } = await submitUntil(point, () => {
          paused.signal("SIGSTOP");
        });
        // Of a POST that was held back so long nothing may arrive any more; it is as lost as its connection.
        if (point === points["the prompt is not posted yet"]) connection.reset();
        await assertNothingFromBeyond(id, paused, () => {
          connection.release();
        });
        if (name !== "its end is committed and no answer has come")
          expect((await tracesOf(id)).events).toContain("adopted 1");
      } finally {
        paused.signal("SIGCONT");
      }
    },
    180_000,
  );

  test.each(["submitted", "executing"])(
    "while the prompt is %s",
    async (phase) => {
      const paused = await owner();
      try {
        // Long enough that a slow client sees the phase before it is over.
        const first = phase === "submitted" ? await submit(5) : null;
        if (first !== null) await api.until(first, (job) => job.phase === "executing");
        const id = await submit(3);
        await api.until(id, (job) => job.phase === phase);
        paused.signal("SIGSTOP");
        await assertNothingFromBeyond(id, paused, () => undefined);
        expect((await tracesOf(id)).events).toContain("adopted 1");
        if (first !== null) expect(await api.job(first)).toMatchObject({ status: "completed", attempt: 1 });
      } finally {
        paused.signal("SIGCONT");
      }
    },
    180_000,
  );
});

describe("a worker that is killed costs no render", () => {
  test.each(Object.entries<Point>(points))(
    "while %s",
    async (_name, point) => {
      const killed = await owner();
      const { id, connection } = await submitUntil(point, () => {
        killed.signal("SIGKILL");
      });
      expect(await killed.exited).toBe("SIGKILL");
      connection.reset();
      const replacing = startWorker();
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
      assertEndedOnce(await tracesOf(id));
      expect(await executionsOf(id)).toBe(1);
      await replacing;
    },
    180_000,
  );
});
