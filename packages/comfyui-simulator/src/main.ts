import { parseArgs } from "node:util";
import { z } from "zod";
import { startSimulator } from "./simulator.ts";

const usage = `A ComfyUI server without a GPU.

  --port N              protocol port (8188)
  --control-port N      port for fault controls (a free one)
  --host ADDRESS        127.0.0.1
  --data-dir FOLDER     holds input, output and temp (a temporary folder)
  --output-dir FOLDER   output folder, if elsewhere
  --load-ms N           loading a checkpoint (1500)
  --step-ms N           one sampling step (60)
  --save-ms N           writing one output (30)
  --history-lag-ms N    how late history may be after execution_success (8)
  --checkpoints A,B     checkpoint files
  --node-packs A,B      installed node packs (core,animatediff,video-helper-suite,recording-nodes; also telling-nodes)
  --api VERSION         0.28 or 0.3 (0.28)
  --cache KEEPS         last-prompt or every-prompt (last-prompt)
  --execution-log FILE  appends every start and end of an execution
  --body-bytes-max N    largest request (104857600)
  --start-delay-ms N    how long the port stays closed
  --no-previews         samplers send no previews`;

const milliseconds = z.coerce.number().nonnegative();
const port = z.coerce.number().int().min(0).max(65_535);
const list = z.string().transform((text) => text.split(",").filter((item) => item !== ""));

const settings = z.object({
  port: port.default(8188),
  "control-port": port.default(0),
  host: z.string().default("127.0.0.1"),
  "data-dir": z.string().optional(),
  "output-dir": z.string().optional(),
  "load-ms": milliseconds.optional(),
  "step-ms": milliseconds.optional(),
  "save-ms": milliseconds.optional(),
  "history-lag-ms": milliseconds.optional(),
  checkpoints: list.optional(),
  "node-packs": list.optional(),
  api: z.enum(["0.3", "0.28"]).default("0.28"),
  cache: z.enum(["last-prompt", "every-prompt"]).default("last-prompt"),
  "execution-log": z.string().optional(),
  "body-bytes-max": z.coerce.number().int().positive().optional(),
  "start-delay-ms": milliseconds.default(0),
  "no-previews": z.boolean().default(false),
  help: z.boolean().default(false),
});

async function main(): Promise<void> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      port: text,
      "control-port": text,
      host: text,
      "data-dir": text,
      "output-dir": text,
      "load-ms": text,
      "step-ms": text,
      "save-ms": text,
      "history-lag-ms": text,
      checkpoints: text,
      "node-packs": text,
      api: text,
      cache: text,
      "execution-log": text,
      "body-bytes-max": text,
      "start-delay-ms": text,
      "no-previews": { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  const asked = settings.parse(values);
  if (asked.help) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  const timing = given({
    loadMs: asked["load-ms"],
    stepMs: asked["step-ms"],
    saveMs: asked["save-ms"],
    historyLagMs: asked["history-lag-ms"],
  });
  const simulator = await startSimulator({
    host: asked.host,
    port: asked.port,
    controlPort: asked["control-port"],
    ...given({
      dataDir: asked["data-dir"],
      outputDir: asked["output-dir"],
      nodePacks: asked["node-packs"],
      executionLog: asked["execution-log"],
      bodyBytesMax: asked["body-bytes-max"],
    }),
    ...(asked.checkpoints ? { models: { checkpoints: asked.checkpoints } } : {}),
    timing,
    api: asked.api,
    cacheKeeps: asked.cache,
    startDelayMs: asked["start-delay-ms"],
    previews: !asked["no-previews"],
    onCrash: (reason) => {
      process.stderr.write(`the server crashed: ${reason}\n`);
      process.exit(1);
    },
  });
  // Like the real server: a signal ends it at once, whatever runs.
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      void simulator.stop().finally(() => process.exit(0));
    });
  }
  process.stdout.write(`simulator listening on ${simulator.url}\n`);
  process.stdout.write(`controls on ${simulator.controlUrl}, outputs in ${simulator.outputDir}\n`);
}

/** The properties that have a value. */
function given<T extends Record<string, unknown>>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

await main();
