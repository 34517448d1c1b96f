import { Prisma } from "../../generated/client.ts";

/** Of the jobs in the CTE `given`, what clients of ComfyUI's protocol said of them. */
export function doorRows(tenantId: string): Prisma.Sql {
  return Prisma.sql`
    , door AS (
      INSERT INTO door_prompts (job_id, tenant_id, key_name, prompt_id, client_id, number, said_hash, place, targets,
        output_nodes, socket_nodes, rewrites, must_fail)
      SELECT given.id, ${tenantId}::uuid, said."keyName", said."promptId", said."clientId", said.number, said."saidHash",
        said.place, said.targets, said."outputNodes", said."socketNodes", said.rewrites, coalesce(said."mustFail", false)
      FROM given CROSS JOIN LATERAL jsonb_to_record(given.door) AS said(
        "keyName" text, "promptId" text, "clientId" text, number float8, "saidHash" text, place text, targets text[],
        "outputNodes" text[], "socketNodes" text[], rewrites jsonb, "mustFail" boolean)
      WHERE given.door IS NOT NULL
    )`;
}
