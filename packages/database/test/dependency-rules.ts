import { type Client } from "pg";

/** What must hold of all dependencies once every end was passed on: name of the rule → the rows that break it. */
const rules = {
  "a count is the number of dependencies that are not met": `
    SELECT job.id FROM jobs job WHERE job.open_dependencies <> (
      SELECT count(*) FROM job_dependencies edge WHERE edge.job_id = job.id AND edge.met_at IS NULL)`,
  "a job begins only when all that it needs has completed": `
    SELECT edge.job_id AS id FROM job_dependencies edge JOIN jobs job ON job.id = edge.job_id
    WHERE edge.met_at IS NULL AND (job.attempt > 0 OR job.status = 'processing')`,
  "a dependency is met when the needed job completes, and only then": `
    SELECT edge.job_id AS id FROM job_dependencies edge JOIN jobs needed ON needed.id = edge.needs_id
    WHERE (needed.status = 'completed') <> (edge.met_at IS NOT NULL)`,
  "no job waits for one that has ended without success, or is gone": `
    SELECT edge.job_id AS id FROM job_dependencies edge JOIN jobs job ON job.id = edge.job_id
    LEFT JOIN jobs needed ON needed.id = edge.needs_id
    WHERE edge.met_at IS NULL AND job.status = 'queued'
      AND (needed.id IS NULL OR needed.status IN ('failed', 'timeout', 'cancelled'))`,
  "a job that failed because of a dependency has one that has ended without success": `
    SELECT job.id FROM jobs job
    WHERE job.failure_code = 'dependency-failed' AND NOT job.has_extra_data AND NOT EXISTS (
      SELECT FROM job_dependencies edge LEFT JOIN jobs needed ON needed.id = edge.needs_id
      WHERE edge.job_id = job.id AND edge.met_at IS NULL
        AND (needed.id IS NULL OR needed.status IN ('failed', 'timeout', 'cancelled')))`,
  "no note is left": `SELECT job_id AS id FROM ends_to_pass_on`,
};

/** The jobs that break a rule. */
export async function brokenDependencies(
  client: Pick<Client, "query">,
): Promise<{ rule: string; id: string }[]> {
  const broken: { rule: string; id: string }[] = [];
  for (const [rule, statement] of Object.entries(rules)) {
    const { rows } = await client.query<{ id: string }>(statement);
    broken.push(...rows.map(({ id }) => ({ rule, id })));
  }
  return broken;
}
