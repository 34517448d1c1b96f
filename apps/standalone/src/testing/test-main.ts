import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startEmbeddedServices } from "@genga/embedded";
import {
  filesForSecondRun,
  type JestResult,
  linesOf,
  parseJestResult,
  summarize,
  summarizeBoth,
  type TestSummary,
} from "./test-summary.ts";

/**
 * `npm test`: starts a Postgres and a Redis in a new folder, runs Jest against them, and ends with the acceptance tests by
 * name and one line that says how many tests passed and failed. Arguments go to Jest: `npm test -- packages/queue`.
 * In a run of all tests, up to three files that fail run once more, alone; if they pass then, the end names them.
 */
async function runTests(jestArgs: readonly string[], signal: AbortSignal): Promise<TestSummary> {
  const folder = mkdtempSync(join(tmpdir(), "genga-test-"));
  chmodSync(folder, 0o755); // Postgres of root runs as another user, who must be able to enter
  try {
    const dataDir = join(folder, "data");
    const services = await startEmbeddedServices({ dataDir, report, signal });
    try {
      const run = async (args: readonly string[], name: string): Promise<JestResult | undefined> => {
        const resultPath = join(folder, name);
        await runJest(args, resultPath, services, signal);
        return parseJestResult(existsSync(resultPath) ? readFileSync(resultPath, "utf8") : undefined);
      };
      const first = await run(jestArgs, "result.json");
      const again = jestArgs.length === 0 && !signal.aborted ? filesForSecondRun(first, isSteady) : [];
      if (first === undefined || again.length === 0) return summarize(first);
      report(`failed, and run once more, alone: ${again.join(", ")}`);
      return summarizeBoth(
        first,
        await run(["--runInBand", "--runTestsByPath", ...again], "second-result.json"),
      );
    } finally {
      await services.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A test that draws other values each time must not hide what it found once. */
function isSteady(file: string): boolean {
  return !readFileSync(file, "utf8").includes("fast-check");
}

async function runJest(
  jestArgs: readonly string[],
  resultPath: string,
  services: { readonly databaseUrl: string; readonly redisUrl: string },
  signal: AbortSignal,
): Promise<void> {
  const isParallelismChosen = jestArgs.some((arg) => /^(--maxWorkers|-w|--runInBand|-i)\b/.test(arg));
  const jest = spawn(
    process.execPath,
    [
      ...["--experimental-vm-modules", "--disable-warning=ExperimentalWarning"],
      "node_modules/jest/bin/jest.js",
      ...["--json", `--outputFile=${resultPath}`],
      // The longest tests wait for leases and processes for more than half of their time, so at least four run at once.
      ...(isParallelismChosen ? [] : [`--maxWorkers=${Math.max(4, availableParallelism() - 1)}`]),
      ...jestArgs,
    ],
    {
      stdio: ["ignore", "ignore", "inherit"], // its report is on standard error; standard output would repeat the JSON
      env: {
        ...process.env,
        NODE_ENV: "test",
        TEST_DATABASE_URL: services.databaseUrl,
        TEST_REDIS_URL: services.redisUrl,
      },
    },
  );
  const ended = once(jest, "exit");
  signal.addEventListener("abort", () => jest.kill("SIGTERM"), { once: true });
  const stuck = new AbortController();
  await Promise.race([ended, untilStuck(resultPath, stuck.signal)]);
  stuck.abort();
  if (jest.exitCode !== null || jest.signalCode !== null) return;
  report("jest has its result but does not end: a test left something open");
  rmSync(resultPath); // a run that leaves something open has not passed
  jest.kill("SIGKILL");
  await ended;
}

/** Resolves when Jest has written its result and has still not ended a while later; never after the abort. */
async function untilStuck(resultPath: string, signal: AbortSignal): Promise<void> {
  try {
    while (!existsSync(resultPath)) await delay(1_000, undefined, { signal });
    await delay(30_000, undefined, { signal });
  } catch {
    // Jest has ended
  }
}

function report(line: string): void {
  console.error(line);
}

const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    stopping.abort(new Error(`stopped by ${name}`));
  });
}

let summary: TestSummary = summarize(undefined);
try {
  summary = await runTests(process.argv.slice(2), stopping.signal);
} catch (error) {
  report(error instanceof Error ? error.message : String(error));
}
for (const line of linesOf(summary)) console.log(line);
process.exitCode = summary.failed === 0 && summary.passed > 0 && !stopping.signal.aborted ? 0 : 1;
