import { type Database } from "@genga/database";
import { type BullTicketQueue } from "@genga/queue";
import { type KnownServers } from "./known-servers.ts";
import { describeServers, describeWorkers } from "./shown-farm.ts";

/** Each resolves to a detail worth showing, or to `null`, and rejects when its part is unavailable. */
export type Probes = Record<"database" | "redis" | "servers" | "workers", () => Promise<string | null>>;

export function probesOf(database: Database, tickets: BullTicketQueue, servers: KnownServers): Probes {
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
