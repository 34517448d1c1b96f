import { hostname } from "node:os";
import { stringifyExactJson } from "@genga/comfyui";
import { openDatabase, type Database } from "@genga/database";
import {
  defaultLane,
  JobManager,
  type JobManagerOptions,
  SecretBox,
  type Signals,
  StoreUnavailableError,
  type AuditStore,
  type JobReader,
  type KeyStore,
  type OutputStorage,
  type Principal,
  type Tenant,
  type TenantAdmissions,
  type TenantJobReader,
  type TenantLimitStore,
  type UploadStore,
  type WorkflowResolver,
} from "@genga/jobs";
import {
  createAdmissions,
  createQueueBoard,
  createSignals,
  createTicketQueue,
  type BullTicketQueue,
  type QueueBoard,
} from "@genga/queue";
import { isLoopback, type Logger, type ServiceConfiguration } from "@genga/runtime";
import { openOutputStorage } from "@genga/storage";
import { createWorkflowResolver, DefinitionsThread, type NodeClassRules } from "@genga/workflows";
import pRetry from "p-retry";
import { Access } from "./access/access.ts";
import { ConfiguredKeys } from "./access/configured-keys.ts";
import { BodyMemory } from "./http/body-memory.ts";
import { JobDetails } from "./jobs/job-details.ts";
import { JobFeed } from "./jobs/job-feed.ts";
import { KeyWatch } from "./access/key-watch.ts";
import { KnownLimits } from "./access/known-limits.ts";
import { MadeKeys, type MadeKeysOptions } from "./access/made-keys.ts";
import { KnownServers } from "./servers/known-servers.ts";
import { createMetrics, type Metrics } from "./http/metrics.ts";
import { describeServers, describeWorkers } from "./servers/shown-farm.ts";
import { UncheckedInputs } from "./submissions/unchecked-inputs.ts";
import { JobCommands } from "./submissions/job-commands.ts";
import { boardPath } from "./http/paths.ts";
import { TenantAdmission } from "./access/tenant-admission.ts";
import { type WatchTimes } from "./jobs/watch-job.ts";
import { WrongKeys } from "./access/wrong-keys.ts";

/** All parts of the API. */
export interface ApiDependencies {
  access: Access;
  admission: TenantAdmission;
  limits: KnownLimits;
  tenantLimits: TenantLimitStore;
  jobs: JobReader;
  /** Reads the jobs of the principal's tenant. */
  ownJobs: (principal: Principal) => TenantJobReader;
  /** Changes the jobs of the principal's tenant. */
  jobCommands: (principal: Principal) => JobCommands;
  jobDetails: JobDetails;
  servers: KnownServers;
  feed: JobFeed;
  storage: OutputStorage;
  uploads: UploadStore;
  keys: KeyStore;
  madeKeys: MadeKeys;
  keyWatch: KeyWatch;
  audit: AuditStore;
  board: QueueBoard;
  metrics: Metrics;
  /** Each resolves to a detail worth showing, or to `null`, and rejects when its part is unavailable. */
  probes: Record<"database" | "redis" | "servers" | "workers", () => Promise<string | null>>;
  log: Logger;
  version: string;
  startedAt: number;
  /** Aborted when the process stops; open streams end then. */
  stopping: AbortSignal;
  watchTimes: WatchTimes;
  close(): Promise<void>;
}

/** Intervals that tests shorten. */
export interface ApiTimes {
  watch: WatchTimes;
  serversMaxAgeMs: number;
  keys: Pick<MadeKeysOptions, "rememberMs" | "checkEveryMs">;
  /** Pause between two checks of the keys of open streams. */
  streamKeysEveryMs: number;
}

const defaultTimes: ApiTimes = {
  watch: { heartbeatMs: 15_000, lookMinMs: 500, lookMaxMs: 10_000 },
  serversMaxAgeMs: 1_000,
  keys: { rememberMs: 10_000, checkEveryMs: 1_000 },
  streamKeysEveryMs: 5_000,
};
const version = "0.1.0";
const firstConnectionRetryMs = 500;

/**
 * The composition root: builds all parts by hand. Waits for PostgreSQL, without which the API can promise nothing.
 * Redis may become available later.
 * @param options.signal ends the waiting, and later the streams
 */
export async function openDependencies(
  settings: ServiceConfiguration,
  log: Logger,
  options: { signal: AbortSignal; times?: Partial<ApiTimes> },
): Promise<ApiDependencies> {
  const times = { ...defaultTimes, ...options.times };
  const { databaseUrl, tenantLimits: limits } = settings;
  const database = openDatabase({ databaseUrl, limits, applicationName: "genga-api" });
  const redis = { redisUrl: settings.redisUrl, prefix: settings.redisPrefix, logger: log };
  const tickets = createTicketQueue(redis);
  const signals = createSignals(redis);
  const admissions = createAdmissions(redis);
  const board = createQueueBoard({ ...redis, lanes: [defaultLane], basePath: boardPath });
  const definitions = definitionsThread(settings);
  const close = async (): Promise<void> => {
    const parts = [tickets, signals, board, admissions, definitions];
    await Promise.allSettled(parts.map((part) => part.close()));
    await database.close();
  };
  try {
    const { defaultTenant, configuredKeys } = await prepareTenants(database, settings, log, options.signal);
    const madeKeys = new MadeKeys({ keys: database.keys, ...times.keys });
    const storage = await openOutputStorage(settings.storage, settings.dataDir);
    const servers = knownServersOf(settings, { database, definitions, signals }, times);
    const jobs = database.jobReader;
    const metrics = createMetrics({
      summarizeQueue: () => jobs.summarizeQueue(),
      farm: () => servers.farm(),
    });
    const unchecked = new UncheckedInputs({ counter: metrics.inputsNotChecked, log });
    const resolver = resolverFor(database, servers, unchecked, settings.nodeClasses);
    const manager = managerOf(
      database,
      { tickets, signals, resolver, storage, logger: log },
      settings,
      defaultTenant,
    );
    const access = new Access({
      ...{ defaultTenant, configuredKeys, madeKeys, counter: metrics.wrongKeys },
      isOnLoopback: isLoopback(settings.host),
      wrongKeys: new WrongKeys({ perMinute: settings.wrongKeysPerMinute }),
    });
    return {
      access,
      ...limitingParts(database, settings, admissions, log),
      ...jobParts({ jobs, manager, resolver, servers }),
      servers,
      feed: new JobFeed(signals),
      storage,
      uploads: database.uploads,
      keys: database.keys,
      madeKeys,
      keyWatch: new KeyWatch({
        findWorking: (keys) => access.findWorking(keys),
        ...{ checkEveryMs: times.streamKeysEveryMs, signal: options.signal, log },
      }),
      audit: database.audit,
      board,
      metrics,
      probes: probesOf(database, tickets, servers),
      log,
      version,
      ...{ startedAt: Date.now(), stopping: options.signal, watchTimes: times.watch },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function managerOf(
  { jobReader, jobRequests, jobAnnouncer }: Database,
  parts: Pick<JobManagerOptions, "tickets" | "signals" | "resolver" | "storage" | "logger">,
  { jobTimeoutsMs, secretsKeys }: ServiceConfiguration,
  defaultTenant: Tenant,
): JobManager {
  return new JobManager({
    ...{ reader: jobReader, requests: jobRequests, announcer: jobAnnouncer, ...parts },
    defaultTenantId: defaultTenant.id,
    timeoutMsByType: jobTimeoutsMs,
    secretBox: secretBoxOf(secretsKeys),
    writeJson: stringifyExactJson,
  });
}

function jobParts(parts: {
  jobs: JobReader;
  manager: JobManager;
  resolver: WorkflowResolver;
  servers: KnownServers;
}): Pick<ApiDependencies, "jobs" | "ownJobs" | "jobCommands" | "jobDetails"> {
  const { jobs } = parts;
  return {
    jobs,
    ownJobs: (principal) => jobs.of(principal.tenant.id),
    jobCommands: (principal) => new JobCommands(parts, principal),
    jobDetails: new JobDetails(parts),
  };
}

function limitingParts(
  { tenantLimits }: Database,
  settings: ServiceConfiguration,
  admissions: TenantAdmissions,
  log: Logger,
): Pick<ApiDependencies, "admission" | "limits" | "tenantLimits"> {
  const limits = new KnownLimits({ store: tenantLimits, defaults: settings.tenantLimits, log });
  const bodies = new BodyMemory({ bytesMax: settings.bodyBytesAtOnce });
  return { admission: new TenantAdmission({ limits, admissions, bodies }), limits, tenantLimits };
}

function knownServersOf(
  { leaseMs, serverRetireMs }: ServiceConfiguration,
  parts: { database: Database; definitions: DefinitionsThread; signals: Signals },
  { serversMaxAgeMs }: ApiTimes,
): KnownServers {
  const { database, definitions, signals } = parts;
  return new KnownServers({
    ...{ servers: database.servers, pauses: database.farm, keeping: database.keeping, definitions, signals },
    ...{ maxAgeMs: serversMaxAgeMs, leaseMs, retireMs: serverRetireMs },
    name: `api-${hostname()}-${process.pid}`,
  });
}

function definitionsThread({ databaseUrl }: ServiceConfiguration): DefinitionsThread {
  return new DefinitionsThread({
    entry: new URL("./servers/definitions-main.ts", import.meta.url),
    databaseUrl,
  });
}

function secretBoxOf([first, ...older]: readonly string[]): SecretBox | undefined {
  return first === undefined ? undefined : new SecretBox([first, ...older]);
}

function resolverFor(
  { uploads }: Database,
  servers: KnownServers,
  unchecked: UncheckedInputs,
  nodeClasses: NodeClassRules,
): WorkflowResolver {
  return createWorkflowResolver({
    definitions: () => servers.list(),
    refresh: () => servers.refresh(),
    uploads,
    nodeClasses,
    onNotChecked: (notes) => {
      unchecked.note(notes);
    },
  });
}

/** Creates the tenants of all keys of API_KEYS before the first request is served. */
async function prepareTenants(
  { keys, tenants }: Database,
  { apiKeys }: ServiceConfiguration,
  log: Logger,
  signal: AbortSignal,
): Promise<{ defaultTenant: Tenant; configuredKeys: ConfiguredKeys }> {
  const prepare = async (): Promise<{ defaultTenant: Tenant; configuredKeys: ConfiguredKeys }> => {
    const copies = await keys.removeCopies();
    if (copies > 0) log.info({ copies }, "copies of API_KEYS that an earlier version made were removed");
    return {
      configuredKeys: await ConfiguredKeys.open(apiKeys, tenants),
      defaultTenant: await tenants.defaultTenant(),
    };
  };
  return await pRetry(prepare, {
    retries: Infinity,
    minTimeout: firstConnectionRetryMs,
    factor: 1,
    signal,
    shouldRetry: ({ error }) => {
      if (!(error instanceof StoreUnavailableError)) return false;
      log.warn({ err: error }, "waiting for PostgreSQL");
      return true;
    },
  });
}

function probesOf(
  database: Database,
  tickets: BullTicketQueue,
  servers: KnownServers,
): ApiDependencies["probes"] {
  return {
    database: () => database.ping().then(() => null),
    redis: async () => describeRedis(await tickets.ping()),
    servers: async () => describeServers(await servers.farm()),
    workers: async () => describeWorkers(await servers.farm()),
  };
}

function describeRedis(health: { version: string | null; evictionPolicy: string | null }): string | null {
  return health.evictionPolicy === null || health.evictionPolicy === "noeviction"
    ? null
    : `maxmemory-policy is ${health.evictionPolicy}; tickets may be lost, set it to noeviction`;
}
