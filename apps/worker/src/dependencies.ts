import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import {
  AttemptRecorder,
  type DoorFiles,
  type DoorMessageGiver,
  type EventSequencer,
  type FarmStore,
  type GuessedLanes,
  type JobAnnouncer,
  type JobRuns,
  type KeepingStore,
  type LaneServing,
  type LaneStore,
  type OutputStorage,
  type PreviewGiver,
  type RunDurations,
  type ServerSourcesStore,
  type ServerStore,
  type ServerUpkeep,
  type Signals,
  type TakeBacks,
  openSecretBox,
  TicketAnnouncer,
  type TicketQueue,
  type WebhookQueue,
} from "@genga/jobs";
import { openDatabase } from "@genga/database";
import { createSignals, createTicketQueue, RedisDoorMessageGiver, RedisPreviewGiver } from "@genga/queue";
import {
  createMetricsRegistry,
  openTracing,
  registerDependencyMetrics,
  type Logger,
  type ServiceConfiguration,
  type Tracing,
} from "@genga/runtime";
import { openOutputStorage } from "@genga/storage";
import { createDeliverer, createWebhookMetrics, type WebhookDeliverer } from "@genga/webhooks";
import { DefinitionsThread, type DefinitionsStore } from "@genga/workflows";
import { type Registry } from "prom-client";
import { RunMetrics } from "./metrics/run-metrics.ts";
import { AddedServersSource } from "./sources/added-servers-source.ts";
import { type ServerSources } from "./sources/server-sources.ts";

/** All parts of a worker. */
export interface Dependencies {
  workerId: string;
  settings: ServiceConfiguration;
  runs: JobRuns;
  takeBacks: TakeBacks;
  announcer: JobAnnouncer;
  servers: ServerStore;
  serverUpkeep: ServerUpkeep;
  serverSources: ServerSourcesStore;
  /** The servers that the configuration, the servers file and the API name. */
  sources: ServerSources;
  laneServing: LaneServing;
  runDurations: RunDurations;
  guessedLanes: GuessedLanes;
  lanes: LaneStore;
  farm: FarmStore;
  definitions: DefinitionsStore;
  keeping: KeepingStore;
  eventSequencer: EventSequencer;
  webhookQueue: WebhookQueue;
  /** Sends what waits for webhooks. */
  webhookDeliverer: WebhookDeliverer;
  /** The figures of this process. */
  registry: Registry;
  runMetrics: RunMetrics;
  tracing: Tracing;
  recorder: AttemptRecorder;
  tickets: TicketQueue;
  signals: Signals;
  previewGiver: PreviewGiver;
  doorMessages: DoorMessageGiver;
  doorFiles: DoorFiles;
  storage: OutputStorage;
  log: Logger;
  close(): Promise<void>;
}

/** The composition root: builds all parts by hand. @param sources are closed with the parts */
export async function openDependencies(
  settings: ServiceConfiguration,
  sources: ServerSources,
  log: Logger,
): Promise<Dependencies> {
  const workerId = settings.workerId ?? `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const database = openDatabase({
    databaseUrl: settings.databaseUrl,
    applicationName: "genga-worker",
    limits: settings.tenantLimits,
    lanesMax: settings.lanesMax,
  });
  const redis = { redisUrl: settings.redisUrl, prefix: settings.redisPrefix, logger: log };
  const tickets = createTicketQueue({ ...redis, lockMs: settings.leaseMs, consumerName: workerId });
  const signals = createSignals(redis);
  const [previewGiver, doorMessages] = [new RedisPreviewGiver(redis), new RedisDoorMessageGiver(redis)];
  const definitions = new DefinitionsThread({
    entry: new URL("./servers/definitions-main.ts", import.meta.url),
    databaseUrl: settings.databaseUrl,
  });
  // A worker needs the definitions of its servers before it begins their first jobs.
  definitions.warmUp();
  addRows(settings, sources, database);
  const registry = createMetricsRegistry("worker");
  registerDependencyMetrics(registry, { database: () => database.ping(), redis: () => tickets.ping() });
  const tracing = await openTracing({ service: "genga-worker", endpoint: settings.tracesEndpoint, log });
  const released = new TicketAnnouncer({ tickets, announcer: database.jobAnnouncer, logger: log });
  return {
    workerId,
    settings,
    runs: database.jobRuns,
    takeBacks: database.takeBacks,
    announcer: database.jobAnnouncer,
    ...{ servers: database.servers, serverSources: database.serverSources, sources },
    serverUpkeep: database.serverUpkeep,
    laneServing: database.laneServing,
    runDurations: database.runDurations,
    guessedLanes: database.guessedLanes,
    lanes: database.lanes,
    farm: database.farm,
    definitions,
    keeping: database.keeping,
    eventSequencer: database.eventSequencer,
    webhookQueue: database.webhookQueue,
    webhookDeliverer: createDeliverer(settings, {
      ...{ queue: database.webhookQueue, sequencer: database.eventSequencer, signals, log },
      ...{ secretBox: openSecretBox(settings.secretsKeys), metrics: createWebhookMetrics(registry) },
    }),
    registry,
    ...{ runMetrics: new RunMetrics(registry), tracing },
    recorder: new AttemptRecorder({
      ...{ runs: database.jobRuns, signals },
      announce: (jobs) => {
        released.announce(jobs, { areNew: false });
      },
    }),
    tickets,
    signals,
    ...{ previewGiver, doorMessages, doorFiles: database.doorFiles },
    storage: await openOutputStorage(settings.storage, settings.dataDir),
    log,
    close: async () => {
      sources.close();
      await released.announced();
      await Promise.allSettled(
        [tickets, signals, previewGiver, doorMessages, definitions, tracing].map((part) => part.close()),
      );
      await database.close();
    },
  };
}

/** What the sources of servers need of the database, which is opened after them. */
function addRows(
  { takesServersOfApi, secretsKeys, serverName }: ServiceConfiguration,
  sources: ServerSources,
  { servers, serverSources: store }: { servers: ServerStore; serverSources: ServerSourcesStore },
): void {
  sources.recallNamesFrom(servers);
  if (takesServersOfApi)
    sources.addSource(new AddedServersSource({ store, serverName, secretBox: openSecretBox(secretsKeys) }));
}
