/** An answer about a batch has at most this many different remarks of each kind. */
const batchRemarksMax = 1_000;

/** The remarks on all jobs of a batch, each one once. */
export function remarksOnAll(remarksOfJobs: string[][]): string[] {
  const remarks = new Set<string>();
  for (const remark of remarksOfJobs.flat()) {
    remarks.add(remark);
    if (remarks.size > batchRemarksMax) break;
  }
  const shown = [...remarks].slice(0, batchRemarksMax);
  return remarks.size > shown.length
    ? [...shown, `There are more remarks on these jobs; only the first ${batchRemarksMax} are listed.`]
    : shown;
}
