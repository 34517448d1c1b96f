import { once } from "node:events";
import { isatty } from "node:tty";
import { pino, type DestinationStream, type Logger as PinoLogger } from "pino";
import { PinoPretty } from "pino-pretty";
import { type LogLevel } from "./configuration.ts";

export type Logger = PinoLogger;

/**
 * A logger on standard output: one JSON object a line, or lines for people where standard output is a terminal.
 *
 * @param options.name the name of the service, written to the field `service` of every line
 */
export function createLogger(options: { readonly name: string; readonly level: LogLevel }): Logger {
  const settings = {
    level: options.level,
    base: { service: options.name, pid: process.pid },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (level: string) => ({ level }) },
    redact: {
      paths: ["apiKey", "*.apiKey", "authorization", "*.authorization", '*["x-api-key"]', "*.cookie"],
      censor: "***",
    },
  };
  // Asked of the descriptor, since the streams of threads other than the main one are never terminals.
  if (!isatty(1)) return pino(settings, standardOutput());
  return pino(
    settings,
    PinoPretty({
      colorize: true,
      ignore: "pid,service",
      messageFormat: `${options.name}: {msg}`,
      sync: true,
    }),
  );
}

type StandardOutput = ReturnType<typeof pino.destination>;
let opened: StandardOutput | undefined;

/**
 * Standard output, written by another thread so that a slow reader delays nobody. All loggers of the process share it.
 * Its own flush at the end of the process repeats a failed write for ever, even if the reader is gone (sonic-boom 4.2),
 * so `endOutput` is used instead.
 */
function standardOutput(): DestinationStream {
  if (opened === undefined) {
    opened = pino.destination({ dest: 1, sync: false });
    opened.flushSync = () => undefined;
  }
  return opened;
}

const outputEndsWithinMs = 1_000;

/**
 * Call it before the process ends. It resolves when all lines are written, when their reader is gone, or after a
 * second.
 */
export async function endOutput(): Promise<void> {
  if (opened === undefined) return;
  const signal = AbortSignal.timeout(outputEndsWithinMs);
  // `once` rejects if the reader is gone, and at the time-out.
  const ended = once(opened, "close", { signal }).catch(() => undefined);
  opened.end();
  await ended;
}
