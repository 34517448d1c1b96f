/** A server of this worker, at the moment of placing. */
export interface PlaceableServer {
  id: string;
  /** How many jobs it may hold, this one included. */
  slots: number;
  jobsHeld: number;
  /** The checkpoint of the last graph that the server got; it is probably still loaded. */
  checkpoint: string | null;
}

/** A server of another worker that has no job. */
export interface EmptyServer {
  id: string;
}

export interface PlaceableJob {
  checkpoint: string | null;
  avoidServerId: string | null;
  /** It ran out of memory, and would again on the server to avoid. */
  ranOutOfMemory?: boolean;
}

/**
 * The server that should run the job next, or `null` when the job should stay queued. An empty server comes first. A
 * second slot, which only keeps the next prompt ready, is used when no other server that could run the job is empty.
 * The server where the job failed last is used only if no other server is empty, and for want of memory only if no other
 * server has a free slot. Among equal servers: the one that has the checkpoint loaded, then the one with the fewest jobs.
 *
 * @param runnable the worker's servers that have a free slot and can run the graph
 * @param emptyElsewhere empty servers of other workers that can run the graph
 */
export function placeJob(
  job: PlaceableJob,
  runnable: readonly PlaceableServer[],
  emptyElsewhere: readonly EmptyServer[],
): PlaceableServer | null {
  const notAvoided = ({ id }: EmptyServer): boolean => id !== job.avoidServerId;
  const withSlot = runnable.filter((server) => server.jobsHeld < server.slots);
  const others = withSlot.filter(notAvoided);
  const isEmpty = ({ jobsHeld }: PlaceableServer): boolean => jobsHeld === 0;
  if (!others.some(isEmpty) && emptyElsewhere.some(notAvoided)) return null;
  const mustAvoid = others.some(isEmpty) || (job.ranOutOfMemory === true && others.length > 0);
  const free = mustAvoid ? others : withSlot;
  const candidates = free.some(isEmpty) ? free.filter(isEmpty) : free;
  const [best] = [...candidates].sort((one, other) => preference(job, one) - preference(job, other));
  return best ?? null;
}

/** The smaller value is better. */
function preference(job: PlaceableJob, server: PlaceableServer): number {
  const mustLoad = job.checkpoint !== null && server.checkpoint !== job.checkpoint ? 100 : 0;
  return mustLoad + server.jobsHeld;
}
