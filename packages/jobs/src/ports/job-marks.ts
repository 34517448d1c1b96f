/** What people chose among jobs: those to keep, and those to make again. */
export const jobMarks = ["pick", "reject"] as const;
export type JobMark = (typeof jobMarks)[number];

/** Marks are shared by everybody of a tenant, and go with their job. */
export interface JobMarks {
  /**
   * Marks those of the jobs that the tenant has; `null` takes the mark away. The latest mark counts.
   * @param by the name of the client's key
   * @returns the ids of these jobs
   * @throws StoreUnavailableError
   */
  markJobs(tenantId: string, ids: readonly string[], mark: JobMark | null, by: string): Promise<string[]>;
}
