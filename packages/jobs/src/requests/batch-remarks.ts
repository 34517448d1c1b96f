/** The answer to a batch says so many different things of each kind. */
const batchRemarksMax = 1_000;

/** What is said of all jobs of a batch, each thing once. */
export function remarksOnAll(remarksOfJobs: string[][]): string[] {
  const remarks = new Set<string>();
  for (const remark of remarksOfJobs.flat()) {
    remarks.add(remark);
    if (remarks.size > batchRemarksMax) break;
  }
  const shown = [...remarks].slice(0, batchRemarksMax);
  return remarks.size > shown.length
    ? [...shown, `There is more to say of these jobs; these are the first ${batchRemarksMax} things.`]
    : shown;
}
