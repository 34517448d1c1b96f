import { pino, type Logger as PinoLogger } from "pino";
import { PinoPretty } from "pino-pretty";
import type { LogLevel } from "./configuration.ts";

export type Logger = PinoLogger;

/**
 * A logger on standard output: one JSON object a line, or lines for people where standard output is a terminal.
 *
 * @param options.name which service speaks, the field `service` of every line
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
  if (!process.stdout.isTTY) return pino(settings);
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
