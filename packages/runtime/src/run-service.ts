import { z } from "zod";
import { ConfigurationError, readConfiguration, type Configuration } from "./configuration.ts";
import { createLogger, endOutput, type Logger } from "./logger.ts";

/** The arguments of a service's start. */
export interface ServiceContext {
  readonly configuration: Configuration;
  readonly log: Logger;
  /** Aborted as soon as the service is asked to stop, also while it is still starting. */
  readonly signal: AbortSignal;
}

/** The result of a service's start, once the service works. */
export interface RunningService {
  /** Ends the service; called once. After `stopDeadlineMs` the process ends anyway. */
  stop(): Promise<void>;
  /** Details for the process that started this one, such as the URL on which the service listens. */
  readonly details?: Readonly<Record<string, string | number>>;
}

export const stopDeadlineMs = 10_000;
/** A second request to stop, after this long, means that the person wants the process to end at once. */
export const impatientAfterMs = 1_000;

/** The message that a service sends to its parent process once it works. */
export const readyMessageSchema = z.object({
  type: z.literal("ready"),
  service: z.string(),
  details: z.record(z.string(), z.union([z.string(), z.number()])),
});
export type ReadyMessage = z.infer<typeof readyMessageSchema>;

/**
 * The life of one process: reads the configuration, starts the service, tells the parent (if there is one) that it
 * is ready, and stops it once on SIGTERM, SIGINT, or when the parent is gone. A second signal ends the process at once.
 * Exit codes: 0 stopped as asked; 1 could not start, broke, or did not stop in time.
 */
export function runService(name: string, start: (context: ServiceContext) => Promise<RunningService>): void {
  let configuration: Configuration;
  try {
    configuration = readConfiguration(process.env);
  } catch (error) {
    endWithReason(name, error);
  }
  const log = createLogger({ name, level: configuration.logLevel });
  const stopping = new AbortController();
  const starting = start({ configuration, log, signal: stopping.signal });

  let askedAtMs = 0;
  const stop = (reason: string): void => {
    if (stopping.signal.aborted) {
      // One Ctrl-C may arrive twice: from the terminal, and from npm, which passes it on.
      if (performance.now() - askedAtMs < impatientAfterMs) return;
      log.warn({ reason }, "asked to stop again: ending at once");
      void exit(1);
      return;
    }
    askedAtMs = performance.now();
    log.info({ reason }, "stopping");
    stopping.abort(new Error(`${name} was asked to stop: ${reason}`));
    void stopWithinDeadline(starting, log);
  };
  endWithParentOrSignal(stop);
  endOnProgrammingErrors(log);

  starting.then(
    (service) => {
      log.info(service.details ?? {}, "ready");
      process.send?.({ type: "ready", service: name, details: service.details ?? {} } satisfies ReadyMessage);
    },
    (error: unknown) => {
      if (stopping.signal.aborted) return;
      if (error instanceof ConfigurationError) endWithReason(name, error);
      log.fatal({ err: error }, "could not start");
      void exit(1);
    },
  );
}

async function stopWithinDeadline(starting: Promise<RunningService>, log: Logger): Promise<void> {
  setTimeout(() => {
    log.error({ stopDeadlineMs }, "did not stop in time: ending anyway");
    void exit(1);
  }, stopDeadlineMs);
  const service = await starting.catch(() => undefined);
  try {
    await service?.stop();
  } catch (error) {
    log.error({ err: error }, "stopping failed");
    return exit(1);
  }
  log.info("stopped");
  await exit(0);
}

/** Ends the process once its last lines are written. */
async function exit(code: number): Promise<void> {
  await endOutput();
  process.exit(code);
}

function endWithParentOrSignal(stop: (reason: string) => void): void {
  process.on("SIGTERM", () => {
    stop("SIGTERM");
  });
  process.on("SIGINT", () => {
    stop("SIGINT");
  });
  const parentIsGone = (): void => {
    stop("the parent process is gone");
  };
  if (process.send === undefined || process.connected) process.once("disconnect", parentIsGone);
  else parentIsGone();
  // When the parent is gone, the readers of this process's output are gone as well. Failing writes must not keep the
  // process from stopping cleanly.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}

function endOnProgrammingErrors(log: Logger): void {
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, event);
      void exit(1);
    });
  }
}

function endWithReason(name: string, error: unknown): never {
  process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
