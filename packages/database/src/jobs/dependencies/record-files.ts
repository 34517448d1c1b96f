import { type Statements } from "../../connection/plain-statements.ts";

/**
 * Records the files that jobs read of these completed ones. From then on the files belong to these jobs, too: they stay
 * when the completed job is removed. An output that does not exist, or is a text, leaves its file open; the attempt then
 * says so.
 */
export async function recordFiles(
  transaction: Statements,
  completed: string[],
  dependents: string[],
): Promise<void> {
  await transaction.$executeRaw`
    UPDATE job_inputs input SET storage_key = output.storage_key, sha256 = output.sha256,
      media_type = output.media_type, filename = output.filename, bytes = output.bytes
    FROM outputs output
    WHERE input.needs_id = ANY(${completed}::uuid[]) AND input.job_id = ANY(${dependents}::uuid[])
      AND output.job_id = input.needs_id AND output.index = input.output_index AND output.storage_key IS NOT NULL`;
}
