import { groupBy } from "../history/group-by.ts";
import { type History } from "../history/history.ts";
import { checkpointOf } from "../plan/job-spec.ts";

/**
 * Checks that no server got a job whose labels or checkpoint it does not have.
 *
 * @returns the id of the job, and what is wrong with it
 */
export function* checkPlacement({
  jobs,
  attempts,
  servers,
}: History): Generator<[jobId: string, message: string]> {
  const kitOf = new Map(servers.map(({ url, ...kit }) => [url, kit]));
  const attemptsOf = groupBy(attempts, ({ jobId }) => jobId);
  for (const { id, spec, requires } of jobs) {
    const checkpoint = spec === null ? null : checkpointOf(spec);
    for (const { number, serverUrl } of attemptsOf.get(id) ?? []) {
      const kit = kitOf.get(serverUrl);
      if (kit === undefined) {
        yield [id, `attempt ${number} was on ${serverUrl}, which is none of the servers`];
        continue;
      }
      const missing = requires.filter((label) => !kit.labels.includes(label));
      if (missing.length > 0)
        yield [id, `attempt ${number} was on ${serverUrl}, which is not labelled ${missing.join(", ")}`];
      if (checkpoint !== null && !kit.checkpoints.includes(checkpoint))
        yield [id, `attempt ${number} was on ${serverUrl}, which does not have ${checkpoint}`];
    }
  }
}
