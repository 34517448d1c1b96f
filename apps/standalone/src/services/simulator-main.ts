import { join } from "node:path";
import { startSimulator } from "@genga/comfyui-simulator";
import { runService } from "@genga/runtime";

/** The simulated ComfyUI as a process of its own, which can crash alone and restarts on the same port. */
runService("simulator", async ({ configuration, log }) => {
  const simulator = await startSimulator({
    port: Number(process.env["SIMULATOR_PORT"] ?? 0),
    dataDir: join(configuration.dataDir, "simulator"),
    onCrash: (reason) => {
      log.fatal({ reason }, "the server crashed");
      process.exit(1);
    },
  });
  return {
    details: { url: simulator.url, controlUrl: simulator.controlUrl, outputFolder: simulator.outputDir },
    stop: () => simulator.stop(),
  };
});
