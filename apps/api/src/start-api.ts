import { awaitSchema } from "@genga/database";
import { partialFileAgeMs } from "@genga/jobs";
import { requireKeyBeyondLoopback, requireServices, type Configuration, type Logger } from "@genga/runtime";
import { openDependencies, type ApiDependencies, type ApiTimes } from "./dependencies.ts";
import { listen, type ListeningServer } from "./http/listening-server.ts";
import { createApp } from "./server.ts";

/** A running API. */
export interface RunningApi extends Pick<ListeningServer, "url" | "port"> {
  stop(): Promise<void>;
}

/**
 * Starts the API with this configuration; resolves once it accepts connections.
 * @throws ConfigurationError when it would serve other machines without a key, or when the addresses of its services
 * are missing
 */
export async function startApi(
  configuration: Configuration,
  log: Logger,
  options: { signal?: AbortSignal; times?: Partial<ApiTimes> } = {},
): Promise<RunningApi> {
  const settings = requireServices(configuration);
  const stopping = new AbortController();
  const signal =
    options.signal === undefined ? stopping.signal : AbortSignal.any([options.signal, stopping.signal]);
  const onWaiting = (message: string): void => {
    log.warn(message);
  };
  await awaitSchema({ databaseUrl: settings.databaseUrl, signal, onWaiting });
  const dependencies = await openDependencies(settings, log, {
    signal,
    ...(options.times === undefined ? {} : { times: options.times }),
  });
  try {
    requireKeyBeyondLoopback(configuration, await dependencies.madeKeys.areThere());
    await sweepPartialFiles(dependencies);
    const server = await listen(createApp(dependencies, settings), settings);
    return {
      url: server.url,
      port: server.port,
      stop: async () => {
        stopping.abort();
        await server.close();
        await dependencies.close();
      },
    };
  } catch (error) {
    await dependencies.close();
    throw error;
  }
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
