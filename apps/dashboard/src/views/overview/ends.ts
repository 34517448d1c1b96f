import { type paths } from "@genga/client";

export type Statistics =
  paths["/api/anime/statistics"]["get"]["responses"][200]["content"]["application/json"];
type Step = Statistics["steps"][number];

/** The spans of time that can be chosen, in hours. */
export const spans = [1, 6, 24, 48] as const;
export type Span = (typeof spans)[number];

export interface OverviewSearch {
  readonly hours?: Span;
}

export function readOverviewSearch(search: Record<string, unknown>): OverviewSearch {
  const hours = spans.find((span) => String(span) === String(search["hours"]));
  return hours === undefined ? {} : { hours };
}

/** Each step of the span, those included in which no job ended. */
export function everyStep({ since, until, stepMs }: Statistics, steps: readonly Step[]): Step[] {
  const known = new Map(steps.map((step) => [Date.parse(step.at), step]));
  const all: Step[] = [];
  for (let at = Date.parse(since); at <= Date.parse(until); at += stepMs) {
    all.push(
      known.get(at) ?? { at: new Date(at).toISOString(), completed: 0, failed: 0, timeout: 0, cancelled: 0 },
    );
  }
  return all;
}

/** What ended in all steps together. */
export function sumOf(steps: readonly Step[]): Omit<Step, "at"> {
  const sum = { completed: 0, failed: 0, timeout: 0, cancelled: 0 };
  for (const step of steps) {
    for (const status of ["completed", "failed", "timeout", "cancelled"] as const)
      sum[status] += step[status];
  }
  return sum;
}

/**
 * How many jobs run to their end in an hour, at the pace since the first one of these steps ended: before, perhaps nothing
 * was there to be run.
 */
export function perHour(statistics: Statistics, steps: readonly Step[]): number {
  const { completed, failed, timeout } = sumOf(steps);
  const began = steps.find((step) => step.completed + step.failed + step.timeout > 0);
  if (began === undefined) return 0;
  const ms = Math.max(Date.parse(statistics.until) - Date.parse(began.at), 60_000);
  return ((completed + failed + timeout) * 3_600_000) / ms;
}

/** How long the waiting jobs take at that pace; null while nothing waits, or nothing ended. */
export function backlogMs(waiting: number, endedPerHour: number): number | null {
  return waiting === 0 || endedPerHour === 0 ? null : (waiting / endedPerHour) * 3_600_000;
}

/** Whether other tenants' jobs ended, too: otherwise the chart of all tenants is that of this one. */
export function hasOthers({ steps, allTenants }: Statistics): boolean {
  if (allTenants === undefined) return false;
  const [own, all] = [sumOf(steps), sumOf(allTenants)];
  return (["completed", "failed", "timeout", "cancelled"] as const).some(
    (status) => own[status] !== all[status],
  );
}
