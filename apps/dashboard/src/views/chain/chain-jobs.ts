import { type ChainJob } from "../../connection/queries.ts";

/** The jobs, each after those that it needs; the needs among them only. */
export function chainInOrder(jobs: readonly ChainJob[]): ChainJob[] {
  const known = new Set(jobs.map(({ id }) => id));
  const open = new Map(
    jobs
      .toSorted((one, other) => (one.id < other.id ? -1 : 1))
      .map((job) => [job.id, { ...job, needs: job.needs.filter((id) => known.has(id)) }]),
  );
  const ordered: ChainJob[] = [];
  const placed = new Set<string>();
  while (open.size > 0) {
    const ready = [...open.values()].filter(({ needs }) => needs.every((id) => placed.has(id)));
    // The API accepts no cycle. Whatever it answers, this ends.
    const next = ready.length > 0 ? ready : [...open.values()];
    for (const job of next) {
      open.delete(job.id);
      placed.add(job.id);
      ordered.push(job);
    }
  }
  return ordered;
}

/** What a person calls the job: its key, or the end of its id, which differs most. */
export function nameOf({ id, key }: Pick<ChainJob, "id" | "key">): string {
  return key ?? `…${id.slice(-8)}`;
}
