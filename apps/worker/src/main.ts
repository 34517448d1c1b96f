import { awaitSchema } from "@genga/database";
import { requireServices, runService } from "@genga/runtime";
import pTimeout from "p-timeout";
import { DrainSignal } from "./draining/drain-signal.ts";
import { openDependencies } from "./dependencies.ts";
import { ServerSources } from "./sources/server-sources.ts";
import { startStatusServer } from "./status-server.ts";
import { Worker } from "./worker.ts";

/** The timeout of the whole hand-over: well below the time that a process has for its end (10 s). */
const handOverMs = 7_000;

runService("worker", async ({ configuration, log, signal }) => {
  const drainSignal = new DrainSignal();
  const settings = requireServices(configuration);
  // Probes get answers while the worker waits for what it needs.
  const statusServer = await startStatusServer(settings.workerStatus);
  // First of all, since a mistake in the servers file ends the start.
  const sources = await ServerSources.open(settings, process.env, log);
  const onWaiting = (message: string): void => {
    log.warn(message);
  };
  await awaitSchema({ databaseUrl: settings.databaseUrl, signal, onWaiting });
  const dependencies = await openDependencies(settings, sources, log);
  const worker = new Worker(dependencies);
  worker.start(statusServer.url);
  const { drain } = worker;
  drainSignal.actOn(drain);
  statusServer.show({ status: () => worker.status, registry: dependencies.registry, drain });
  dependencies.webhookDeliverer.start();
  return {
    details: {
      workerId: dependencies.workerId,
      servers: sources.servers.map(({ address }) => address.identity).join(", "),
      health: `${statusServer.url}/health`,
    },
    stop: async () => {
      statusServer.noteStopping();
      const handOver = async (): Promise<boolean> => {
        await Promise.all([worker.stop(), dependencies.webhookDeliverer.stop()]);
        await Promise.all([dependencies.close(), statusServer.close()]);
        return true;
      };
      const isHandedOver = await pTimeout(handOver(), { milliseconds: handOverMs, fallback: () => false });
      if (!isHandedOver) {
        log.warn(
          { handOverMs },
          "the hand-over was not finished in time; the remaining leases expire by themselves",
        );
      }
    },
  };
});
