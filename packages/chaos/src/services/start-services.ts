import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { migrate } from "@genga/database";
import {
  startEmbeddedPostgres,
  startEmbeddedRedis,
  type EmbeddedServer,
  type EmbeddedServerOptions,
} from "@genga/embedded";
import { type CrashableServer, type Services } from "./services.ts";

export interface SuiteServices {
  /** Creates a fresh, migrated database and empties Redis. */
  fresh(): Promise<Services>;
  stop(): Promise<void>;
}

/** Starts a Postgres and a Redis of the suite's own, so that they can be killed and emptied. */
export async function startServices(report: (line: string) => void): Promise<SuiteServices> {
  const folder = await mkdtemp(join(tmpdir(), "genga-chaos-services-"));
  await chmod(folder, 0o755); // root's Postgres runs as somebody else, who has to get in
  const options = { dataDir: join(folder, "data"), report };
  const postgres = new Crashable(startEmbeddedPostgres, options);
  const redis = new Crashable(startEmbeddedRedis, options);
  const stop = async (): Promise<void> => {
    await Promise.all([postgres.stop(), redis.stop()]);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  let databases = 0;
  try {
    await Promise.all([postgres.start(), redis.start()]);
  } catch (error) {
    await stop();
    throw error;
  }
  const ask = async <Result>(question: (client: Redis) => Promise<Result>): Promise<Result> => {
    const client = new Redis(redis.url, { maxRetriesPerRequest: 1 });
    client.on("error", () => undefined); // told by the command
    try {
      return await question(client);
    } finally {
      client.disconnect();
    }
  };
  const flush = async (): Promise<void> => {
    await ask((client) => client.flushall());
  };
  return {
    fresh: async () => {
      databases += 1;
      await flush();
      const url = await createDatabase(postgres.url, `chaos_${databases}`);
      await migrate({ databaseUrl: url });
      return {
        postgres: {
          url,
          crash: (how) => postgres.crash(how),
          startAgain: () => postgres.startAgain(),
          beFull: (isFull) => limitConnections(postgres.url, isFull),
          lockJobs: (ms) => lockJobs(url, ms),
        },
        redis: {
          url: redis.url,
          crash: (how) => redis.crash(how),
          startAgain: () => redis.startAgain(),
          flush,
          beFull: async (isFull) => {
            await ask((client) => client.config("SET", "maxmemory", isFull ? "1" : "0"));
          },
          liveTickets: () => ask(listTickets),
        },
      };
    },
    stop,
  };
}

/** The tickets in BullMQ's own keys, for all lanes. */
async function listTickets(client: Redis): Promise<string[]> {
  const lanes = new Set(["default", ...(await client.zrange("genga:lanes", 0, -1))]);
  const tickets = await Promise.all([...lanes].map((lane) => listTicketsOf(client, lane)));
  return tickets.flat();
}

async function listTicketsOf(client: Redis, lane: string): Promise<string[]> {
  const lists = await Promise.all([
    client.lrange(`genga:${lane}:wait`, 0, -1),
    client.lrange(`genga:${lane}:active`, 0, -1),
    client.zrange(`genga:${lane}:prioritized`, 0, -1),
    client.zrange(`genga:${lane}:delayed`, 0, -1),
  ]);
  const states = ["waiting", "held", "prioritized", "delayed"];
  return lists.flatMap((ids, index) => ids.map((id) => `${states[index] ?? ""} ${id}`));
}

class Crashable implements CrashableServer {
  readonly #start: (options: EmbeddedServerOptions) => Promise<EmbeddedServer>;
  readonly #options: EmbeddedServerOptions;
  #server: EmbeddedServer | null = null;

  constructor(
    start: (options: EmbeddedServerOptions) => Promise<EmbeddedServer>,
    options: EmbeddedServerOptions,
  ) {
    this.#start = start;
    this.#options = options;
  }

  get url(): string {
    if (this.#server === null) throw new Error("It was never started.");
    return this.#server.url;
  }

  async start(): Promise<void> {
    this.#server = await this.#start(this.#options);
  }

  async crash(how: "SIGKILL" | "SIGQUIT"): Promise<void> {
    if (this.#server === null) return;
    process.kill(this.#server.pid, how);
    await this.#server.ended;
  }

  async startAgain(): Promise<void> {
    const port = this.#server?.port;
    this.#server = await this.#start({
      ...this.#options,
      report: () => undefined,
      ...(port !== undefined && { port }),
    });
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }
}

/** The account of Genga's processes. It is not a superuser, so that limits can be set for it. */
const account = "chaos";

/** @returns the URL of the new database, for Genga's account */
async function createDatabase(adminUrl: string, name: string): Promise<string> {
  const url = new URL(adminUrl);
  const password = decodeURIComponent(url.password);
  await withClient(adminUrl, async (client) => {
    const { rowCount } = await client.query("SELECT 1 FROM pg_roles WHERE rolname = $1", [account]);
    if (rowCount === 0) {
      await client.query(`CREATE ROLE ${account} LOGIN PASSWORD ${client.escapeLiteral(password)}`);
    }
    await client.query(`CREATE DATABASE ${name} OWNER ${account}`);
  });
  url.username = account;
  url.pathname = `/${name}`;
  return url.href;
}

async function limitConnections(adminUrl: string, isFull: boolean): Promise<void> {
  await withClient(adminUrl, async (client) => {
    await client.query(`ALTER ROLE ${account} CONNECTION LIMIT ${isFull ? 0 : -1}`);
    if (!isFull) return;
    await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [
      account,
    ]);
  });
}

async function lockJobs(url: string, ms: number): Promise<void> {
  await withClient(url, async (client) => {
    await client.query("BEGIN");
    await client.query("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE");
    await sleep(ms);
    await client.query("COMMIT");
  });
}

/** Tries again for a while, since a fault may have stopped Postgres. An error in the middle of the work is ignored. */
async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => undefined); // told by the statement
    try {
      await client.connect();
      await work(client);
      return;
    } catch (error) {
      if (tries === triesMax) throw error;
      await sleep(250);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

const triesMax = 40;
