import { requireServices, runService } from "@genga/runtime";
import { openDependencies } from "./dependencies.ts";
import { Worker } from "./worker.ts";

runService("worker", async ({ configuration, log }) => {
  const dependencies = await openDependencies(requireServices(configuration), log);
  const worker = new Worker(dependencies);
  worker.start();
  return {
    details: { workerId: dependencies.workerId, servers: configuration.comfyuiUrls.join(", ") },
    stop: async () => {
      await worker.stop();
      await dependencies.close();
    },
  };
});
