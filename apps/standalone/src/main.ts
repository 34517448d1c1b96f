import { setMaxListeners } from "node:events";
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { impatientAfterMs, readConfiguration, stopDeadlineMs } from "@genga/runtime";
import { runDemo } from "./demo/demo.ts";
import { startEverything, type Everything } from "./services/everything.ts";
import { type ProgressBoard } from "./demo/progress-board.ts";
import { untilServersAreKnown } from "./demo/servers-known.ts";

const usage = `npm start                everything on this machine, until Ctrl-C
npm run demo             the same, and a batch of eight images and a video
  -- --exit              stop after the batch: 0 = all completed, 1 = not
  -- --workers 2         how many worker processes (default 1)`;

/** Ends the process with this code: 0 stopped as asked, 1 something failed. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      demo: { type: "boolean", default: false },
      exit: { type: "boolean", default: false },
      workers: { type: "string", default: "1" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const workers = Number(values.workers);
  if (!Number.isInteger(workers) || workers < 1 || workers > 64) throw new Error("--workers takes 1 to 64");
  if (existsSync(".env")) process.loadEnvFile(".env");
  const configuration = readConfiguration(process.env);

  let board: ProgressBoard | undefined;
  const say = (line: string): void => {
    if (board === undefined) console.log(line);
    else board.print(line);
  };
  const stopping = stopSignal(say);
  let everything: Everything | undefined;
  let exitCode = 0;
  try {
    everything = await startEverything({
      configuration,
      env: process.env,
      workers,
      report: say,
      signal: stopping,
    });
    await untilServersAreKnown({ everything, signal: stopping, say });
    tellAddresses(everything, say);
    if (values.demo) {
      const isWhole = await runDemo({
        everything,
        configuration,
        signal: stopping,
        say,
        onBoard: (next) => (board = next),
      });
      if (!isWhole) exitCode = 1;
    }
    if (!values.exit) {
      say("");
      say("Serving until Ctrl-C.");
      await aborted(stopping);
      exitCode = 0;
    }
  } catch (error) {
    if (!stopping.aborted) throw error;
  } finally {
    await everything?.stop();
  }
  say("stopped");
  return exitCode;
}

function tellAddresses(
  { apiUrl, comfyuiUrls, doorUrl, logFolder }: Everything,
  say: (line: string) => void,
): void {
  say("");
  say(`Page         ${apiUrl}/`);
  say(`API          ${apiUrl}/api/anime/health`);
  say(`API docs     ${apiUrl}/docs`);
  say(`as ComfyUI   ${doorUrl} (for programs that know one ComfyUI server)`);
  say(`Bull Board   ${apiUrl}/admin/queues`);
  if (comfyuiUrls.length > 0) say(`ComfyUI      ${comfyuiUrls.join(", ")}`);
  say(`Logs         ${logFolder}`);
  say("");
}

/** Aborted by the first Ctrl-C or SIGTERM; a second one ends the process at once. */
function stopSignal(say: (line: string) => void): AbortSignal {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // every part and every followed job listens
  let askedAtMs = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        // One Ctrl-C arrives twice: from the terminal, and from npm, which passes it on.
        if (performance.now() - askedAtMs > impatientAfterMs) process.exit(1);
        return;
      }
      askedAtMs = performance.now();
      say(`stopping (${name}); again to stop at once`);
      controller.abort(new Error(`stopped by ${name}`));
      // Each part has its own deadline; this one ends the process if a part does not keep its deadline.
      setTimeout(() => process.exit(1), stopDeadlineMs + 5_000).unref();
    });
  }
  return controller.signal;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => {
    signal.addEventListener("abort", resolve, { once: true });
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
