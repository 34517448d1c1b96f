import { groupBy } from "../history/group-by.ts";
import { givenBackCode, takenBackCode, type Attempt, type History } from "../history/history.ts";

/**
 * Checks that a prompt which was taken back from a server's queue was never executed there, so that the job is not
 * executed twice because of it, and that no job is taken back from two servers in a row. A server may have executed such a prompt
 * only if it has lost its memory since, and nobody can tell any more.
 *
 * @returns the id of the job, and what is wrong with it
 */
export function* checkTakeBacks(history: History): Generator<[jobId: string, message: string]> {
  const { attempts, executions } = history;
  const startsOf = groupBy(
    executions.filter(({ event }) => event === "started"),
    ({ promptId }) => promptId,
  );
  for (const [jobId, ofJob] of groupBy(attempts, (attempt) => attempt.jobId)) {
    for (const [index, attempt] of ofJob.entries()) {
      if (!wasTakenBack(attempt) && !wasGivenBack(attempt)) continue;
      const { number, serverUrl, promptId } = attempt;
      if (startsOf.has(promptId) && !hasForgotten(attempt, history))
        yield [
          jobId,
          `attempt ${number} was taken back from ${serverUrl}, which executed it (prompt ${promptId})`,
        ];
      if (!wasTakenBack(attempt)) continue;
      const before = ofJob[index - 1];
      if (before !== undefined && wasTakenBack(before) && before.serverUrl !== serverUrl)
        yield [jobId, `attempts ${before.number} and ${number} were both taken back, from two servers`];
    }
  }
}

function wasGivenBack({ outcome, failureCode }: Attempt): boolean {
  return outcome === "requeued" && failureCode === givenBackCode;
}

export function wasTakenBack({ outcome, failureCode }: Attempt): boolean {
  return outcome === "requeued" && failureCode === takenBackCode;
}

function hasForgotten({ serverUrl, claimedAt, finishedAt }: Attempt, { troubles }: History): boolean {
  return troubles.some(
    ({ kind, serverUrl: where, from }) =>
      kind === "memory-lost" &&
      where === serverUrl &&
      from >= claimedAt &&
      from <= (finishedAt ?? Number.POSITIVE_INFINITY),
  );
}
