import { rm } from "node:fs/promises";
import { join } from "node:path";
import { migrate } from "@genga/database";
import { startEmbeddedServices, type EmbeddedServices } from "@genga/embedded";
import { startServiceProcess, type ServiceProcess } from "@genga/testing";
import { startNullServers, type NullServers } from "./null-servers.ts";
import { makeScratchFolder } from "./scratch-folder.ts";

/** One API and one worker, as in production, with servers that do nothing. */
export interface NullFarm {
  readonly apiUrl: string;
  readonly services: EmbeddedServices;
  readonly nulls: NullServers;
  readonly api: ServiceProcess;
  readonly worker: ServiceProcess;
  /** Stops everything and removes its folder. */
  stop(): Promise<void>;
}

/**
 * @param options.startServices of a migrated database; ordinary embedded services when absent
 * @param options.env of API and worker, besides the addresses
 */
export async function startNullFarm(options: {
  servers: number;
  startServices?: (folder: string) => Promise<EmbeddedServices>;
  env?: Record<string, string>;
}): Promise<NullFarm> {
  const folder = await makeScratchFolder();
  const closings: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const close of closings.splice(0)) await close();
  };
  try {
    const services = await (options.startServices ?? startMigrated)(join(folder, "services"));
    closings.unshift(() => services.stop());
    const nulls = await startNullServers(options.servers);
    closings.unshift(() => nulls.stop());
    const env = {
      ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, DATA_DIR: folder, PORT: "0" },
      ...{ COMFYUI_URLS: nulls.urls.join(), LOG_LEVEL: "warn" },
      ...options.env,
    };
    const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    closings.unshift(() => api.stop());
    const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
    closings.unshift(() => worker.stop());
    return { apiUrl: String(api.details["url"]), services, nulls, api, worker, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startMigrated(dataDir: string): Promise<EmbeddedServices> {
  const services = await startEmbeddedServices({ dataDir, report: () => undefined });
  try {
    await migrate({ databaseUrl: services.databaseUrl });
  } catch (error) {
    await services.stop();
    throw error;
  }
  return services;
}
