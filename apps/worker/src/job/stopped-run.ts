import { type JobStatus } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type JobServer } from "./job-server.ts";
import { type RunOutcome, serverFaultIn, stopOf } from "./job-end.ts";
import { endPromptOfLostServer } from "./leave-server.ts";
import { endJob, type EndJobOptions, returnTicket } from "./record-end.ts";
import { isRefusal, isWorthAnotherTry, type RefusalOptions } from "./refusal.ts";
import { type Run } from "./run.ts";

/**
 * Handles a run that was stopped or failed: leaves the job to its successor, or ends the attempt. Never throws; an end
 * that it cannot record is left until the lease expires.
 * @param broken.error the error of the run
 * @param broken.wasOnServer the run held a slot of its server at that moment
 * @returns the status of the job now; `null` = the job is left to its successor
 */
export async function endStoppedRun(
  run: Run,
  server: JobServer,
  broken: { error: unknown; wasOnServer: boolean },
  options: EndJobOptions & RefusalOptions,
  log: Logger,
): Promise<JobStatus | null> {
  const { error } = broken;
  const stop = stopOf(run.stopSignal.reason, error);
  if (stop === "lease-lost" || stop === "hand-over") {
    log.info({ stop }, stop === "hand-over" ? "left to its successor" : "another worker holds the job now");
    await returnTicket(run, options, log);
    return null;
  }
  if (stop === null) {
    // An error may quote the server, and thereby secrets that the server was given.
    const told = run.hasSecrets ? { reason: run.shownText(String(error)) } : { err: error };
    log.warn(told, "attempt failed");
  }
  try {
    const outcome =
      stop === null
        ? await outcomeOfBreak(run, server, error, options)
        : await outcomeOfServerLoss(run, server, broken, options.log);
    return await endJob(run, server, outcome, options, log);
  } catch (cause) {
    log.warn({ err: cause }, "the failed attempt is left to its lease");
    await returnTicket(run, options, log);
    return null;
  }
}

async function outcomeOfBreak(
  run: Run,
  server: JobServer,
  error: unknown,
  options: RefusalOptions,
): Promise<RunOutcome> {
  const fault = serverFaultIn(error);
  if (fault !== null) server.noteJobLost(run.shownText(fault));
  const mayRunElsewhere = isRefusal(error) && (await isWorthAnotherTry(run, server, error, options));
  return { kind: "broke", error, mayRunElsewhere };
}

async function outcomeOfServerLoss(
  run: Run,
  server: JobServer,
  { wasOnServer }: { wasOnServer: boolean },
  log: Logger,
): Promise<RunOutcome> {
  if (wasOnServer && server.isAnswering && run.lease.leftMs() > 0)
    await endPromptOfLostServer(run, server, log);
  return { kind: "server-lost", wasOnServer };
}
