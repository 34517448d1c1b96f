import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { PrismaClient } from "../generated/client.ts";
import { PlainStatements } from "./plain-statements.ts";

export interface ConnectionOptions {
  /** `postgresql://user:password@host:port/database` */
  databaseUrl: string;
  /** Connections that this process may hold; default 10. */
  poolMax?: number;
  /** Shown in `pg_stat_activity`. */
  applicationName?: string;
  /** PostgreSQL ends a statement that takes longer; default 10 s. */
  statementTimeoutMs?: number;
  /** Idle connections stay open; otherwise they are closed after 10 s. */
  keepsConnections?: boolean;
  /** For prepared statements that find all rows by their ids; see `plansById`. */
  plansById?: boolean;
}

/**
 * Ten connections are enough for one process, since statements take a few milliseconds, and an API, a worker and a
 * sweeper together stay far below PostgreSQL's default of 100.
 */
const defaultPoolMax = 10;

const defaultStatementTimeoutMs = 10_000;

/**
 * Opening a connection, or getting one from the pool, may take at most this share of the statement timeout: 5 s by
 * default.
 */
const connectTimeoutShare = 0.5;

/** If PostgreSQL does not report a statement timeout within this further time, the connection is given up. */
const silenceMs = 2_000;

export interface Connection {
  /** Made when it is first asked for. Its first statement takes a tenth of a second of processor time: it reads the whole schema. */
  readonly client: PrismaClient;
  /** For statements with large parameters, and where nothing else needs the client. */
  readonly statements: PlainStatements;
  /** Waits for running statements. May be called again; later statements are refused. */
  close(): Promise<void>;
}

/**
 * Connects at the first statement, and again whenever connections were lost. No statement hangs for ever when
 * PostgreSQL is down, frozen, or behind a broken network.
 *
 * Prisma does not own this pool, because it would open a new pool for a statement that comes after the close.
 */
export function createConnection(options: ConnectionOptions): Connection {
  const statementTimeoutMs = options.statementTimeoutMs ?? defaultStatementTimeoutMs;
  const pool = new pg.Pool({
    connectionString: withSettings(options.databaseUrl, [
      ...inUtc,
      ...(options.plansById === true ? plansById : []),
    ]),
    max: options.poolMax ?? defaultPoolMax,
    application_name: options.applicationName ?? "genga",
    connectionTimeoutMillis: statementTimeoutMs * connectTimeoutShare,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + silenceMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    ...(options.keepsConnections === true && { idleTimeoutMillis: 0 }),
    ...(options.plansById === true && { maxLifetimeSeconds: plansLastSeconds }),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  });
  // An idle connection that breaks leaves the pool, and the next statement opens a new one.
  pool.on("error", () => undefined);
  let client: PrismaClient | undefined;
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await client?.$disconnect();
    await pool.end();
  };
  return {
    get client() {
      return (client ??= new PrismaClient({ adapter: new PrismaPg(pool), errorFormat: "minimal" }));
    },
    statements: new PlainStatements(pool),
    close: () => (closed ??= close()),
  };
}

/** Prisma's driver adapter reads timestamps as UTC, so every session must use UTC. */
const inUtc = ["TimeZone=UTC"];

/**
 * A prepared statement is planned once in each connection, by what PostgreSQL believes of the tables at that time, and they
 * may be almost empty then. Sessions with these settings go from one row to the next by indexes, however few rows a table
 * seems to have.
 */
export const plansById = [
  ...["plan_cache_mode=force_generic_plan", "jit=off"],
  ...["enable_seqscan=off", "enable_hashjoin=off", "enable_mergejoin=off", "cpu_tuple_cost=1"],
];

/** Then another connection plans anew, by what the tables have become. */
const plansLastSeconds = 60;

function withSettings(databaseUrl: string, settings: readonly string[]): string {
  const url = new URL(databaseUrl);
  const given = url.searchParams.get("options");
  const options = [given, ...settings.map((setting) => `-c ${setting}`)];
  url.searchParams.set("options", options.filter(Boolean).join(" "));
  return url.href;
}
