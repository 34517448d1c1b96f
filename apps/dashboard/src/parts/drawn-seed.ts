/** Nodes take different ranges of seeds; all take these. The API draws the seeds of a batch's reruns from the same range. */
const seedsEnd = 2 ** 31;

/** A seed for a job that does not exist yet: an integer that every node takes. */
export function drawnSeed(): number {
  const [drawn = 0] = crypto.getRandomValues(new Uint32Array(1));
  return drawn % seedsEnd;
}
