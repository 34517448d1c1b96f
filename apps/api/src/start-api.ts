import { setTimeout as sleep } from "node:timers/promises";
import { awaitSchema } from "@genga/database";
import { partialFileAgeMs } from "@genga/jobs";
import {
  requireKeyBeyondLoopback,
  requireOwnDoorPort,
  requireServices,
  type Configuration,
  type Logger,
  type ServiceConfiguration,
} from "@genga/runtime";
import { openDependencies, type ApiDependencies, type ApiTimes } from "./dependencies.ts";
import { answerWhileStarting } from "./http/answer-while-starting.ts";
import { openDoor } from "./comfyui-door/door.ts";
import { listen, type ListeningServer } from "./http/listening-server.ts";
import { createApp } from "./server.ts";

/** A running API. */
export interface RunningApi extends Pick<ListeningServer, "url" | "port"> {
  /** Where ComfyUI's own protocol is served; `null` = nowhere. */
  doorUrl: string | null;
  stop(): Promise<void>;
}

/**
 * Starts the API with this configuration; resolves once it works. From the beginning it answers probes, and refuses
 * everything else until then.
 * @throws ConfigurationError when it would serve other machines without a key, or when the addresses of its services
 * are missing
 */
export async function startApi(
  configuration: Configuration,
  log: Logger,
  options: { signal?: AbortSignal; times?: Partial<ApiTimes> } = {},
): Promise<RunningApi> {
  const settings = requireServices(configuration);
  const server = await listen(answerWhileStarting, settings);
  try {
    return await startOn(server, settings, log, options);
  } catch (error) {
    await server.close();
    throw error;
  }
}

async function startOn(
  server: ListeningServer,
  settings: ServiceConfiguration,
  log: Logger,
  { signal: starting = new AbortController().signal, times }: Parameters<typeof startApi>[2] & object,
): Promise<RunningApi> {
  const [leaving, stopping] = [new AbortController(), new AbortController()];
  const onWaiting = (message: string): void => {
    log.warn(message);
  };
  await awaitSchema({ databaseUrl: settings.databaseUrl, signal: starting, onWaiting });
  const dependencies = await openDependencies(settings, log, {
    ...{ starting, leaving: leaving.signal, stopping: stopping.signal },
    ...(times === undefined ? {} : { times }),
  });
  let door: ListeningServer | null = null;
  try {
    requireOwnDoorPort(settings);
    requireKeyBeyondLoopback(settings, await dependencies.madeKeys.areThere());
    await sweepPartialFiles(dependencies);
    const { comfyuiDoorPort: port } = settings;
    door = port === undefined ? null : await openDoor(dependencies, settings, port);
  } catch (error) {
    await dependencies.close();
    throw error;
  }
  server.answerWith(createApp(dependencies, settings));
  return {
    url: server.url,
    port: server.port,
    doorUrl: door?.url ?? null,
    stop: async () => {
      leaving.abort();
      if (settings.apiDrainMs > 0) await sleep(settings.apiDrainMs);
      stopping.abort();
      await Promise.all([server.close(), dependencies.door.upgrades.close(), door?.close()]);
      await dependencies.close();
    },
  };
}

/**
 * Outputs may be stored in a bucket, but uploads are always received on this machine's disk, and no worker that cleans
 * up may run here.
 */
async function sweepPartialFiles({ storage, log }: ApiDependencies): Promise<void> {
  try {
    const files = await storage.sweepPartialFiles(partialFileAgeMs);
    if (files > 0) log.info({ files }, "half-written files were removed");
  } catch (error) {
    log.warn(
      { err: error },
      "half-written files could not be removed; they take disk space and do no other harm",
    );
  }
}
