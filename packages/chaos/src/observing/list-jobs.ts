import { z } from "zod";
import { type ChaosClient } from "./chaos-client.ts";

const listedSchema = z.object({ id: z.string(), tags: z.array(z.string()) });
const pageSchema = z.object({ jobs: z.array(listedSchema), nextCursor: z.string().nullable() });

/** All existing jobs, including those whose 202 was lost. */
export async function listJobs(client: ChaosClient): Promise<z.infer<typeof listedSchema>[]> {
  const listed: z.infer<typeof listedSchema>[] = [];
  let cursor: string | null = null;
  do {
    const query = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const text = await client.insist("GET", `jobs?limit=100${query}`, 200);
    const page: z.infer<typeof pageSchema> = pageSchema.parse(JSON.parse(text));
    listed.push(...page.jobs);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return listed;
}
