import { requireServices, runService } from "@genga/runtime";
import { openDependencies } from "./dependencies.ts";
import { isDoneWithin } from "./time-limit.ts";
import { Worker } from "./worker.ts";

/** For the hand-over as a whole: well within what a process has for its end (10 s). */
const handOverMs = 7_000;

runService("worker", async ({ configuration, log }) => {
  const dependencies = await openDependencies(requireServices(configuration), log);
  const worker = new Worker(dependencies);
  worker.start();
  return {
    details: {
      workerId: dependencies.workerId,
      servers: configuration.comfyuiServers.map(({ identity }) => identity).join(", "),
    },
    stop: async () => {
      const isHandedOver = await isDoneWithin(
        worker.stop().then(() => dependencies.close()),
        handOverMs,
      );
      if (!isHandedOver) {
        log.warn({ handOverMs }, "not everything answered in time; what was not handed back runs out");
      }
    },
  };
});
