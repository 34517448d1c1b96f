/** Of what one statement reads, as it is stored: compressed to a few per cent at best. */
const storedBytesAtOnce = 128 * 1024;

export interface StoredJob {
  id: string;
  /** Of its parameters, its graph and whatever else is read with them. */
  storedBytes: number;
}

/** Parts that fit into memory together, in the same order; a job that is larger alone is a part of its own. */
export function* partsByBytes<Job extends StoredJob>(jobs: Iterable<Job>): Generator<Job[]> {
  let part: Job[] = [];
  let bytes = 0;
  for (const job of jobs) {
    if (part.length > 0 && bytes + job.storedBytes > storedBytesAtOnce) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(job);
    bytes += job.storedBytes;
  }
  if (part.length > 0) yield part;
}
