import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { launcher } from "@genga/testing";
import { z } from "zod";
import { rowSchema, type Row } from "../support/row.ts";
import { type Benchmark } from "./benchmarks.ts";

const messageSchema = z.object({ type: z.literal("rows"), rows: z.array(rowSchema) });
/** What a benchmark may take to stop its services after it was asked to end. */
const stopMs = 30_000;
/** Of its output, for the reason of a failure. */
const tailLines = 5;

/**
 * Runs the benchmark as a process, with its output in a file.
 * @returns its rows, which are complete if `failure` is null
 */
export async function runAsProcess(
  benchmark: Benchmark,
  logPath: string,
): Promise<{ rows: Row[]; failure: string | null }> {
  const child = spawn(process.execPath, [launcher, benchmark.entry, ...benchmark.args], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    // A group of its own, which ends together: the benchmark with the servers that it has started.
    detached: true,
  });
  const end = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, signal);
  };
  const interrupted = (): void => {
    end("SIGTERM");
    process.exit(130);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupted);
  const log = createWriteStream(logPath);
  const tail: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      log.write(chunk);
      tail.push(...chunk.toString().split("\n"));
      tail.splice(0, tail.length - 10 * tailLines);
    });
  }
  let rows: Row[] = [];
  let failure: string | null = "it returned no rows";
  child.on("message", (message) => {
    const parsed = messageSchema.safeParse(message);
    failure = parsed.success ? null : `its rows are not valid: ${z.prettifyError(parsed.error)}`;
    if (parsed.success) rows = parsed.data.rows;
  });
  const late = setTimeout(() => {
    end("SIGTERM");
  }, benchmark.minutesMax * 60_000);
  const stuck = setTimeout(
    () => {
      end("SIGKILL");
    },
    benchmark.minutesMax * 60_000 + stopMs,
  );
  const [code, signal] = z
    .tuple([z.number().nullable(), z.string().nullable()])
    .parse(await once(child, "close"));
  clearTimeout(late);
  clearTimeout(stuck);
  for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, interrupted);
  log.end();
  await finished(log);
  if (signal !== null) failure = `it took longer than ${benchmark.minutesMax} minutes`;
  else if (code !== 0) {
    const end = tail.filter((line) => line.trim() !== "").slice(-tailLines);
    failure = `it ended with ${code}: ${end.join(" / ")}`;
  }
  return { rows, failure };
}
