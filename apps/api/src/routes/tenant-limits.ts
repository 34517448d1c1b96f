import { actorOf, type Tenant, type TenantLimitChoices } from "@genga/jobs";
import { type Request } from "express";
import { z } from "zod";
import { principalOf } from "../access/access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { jsonBody } from "../http/json-body.ts";
import { RefusedError } from "../http/problem-document.ts";
import { readBody } from "../http/request-values.ts";

const choice = (min: number, max: number): z.ZodNullable<z.ZodInt> => z.int().min(min).max(max).nullable();

/** What an operator chooses for one tenant; `null` = the configured default holds. */
export const tenantLimitChoicesSchema = z.strictObject({
  jobsQueuedMax: choice(0, 10_000_000).describe("Jobs that wait; retries count."),
  jobsRunningMax: choice(0, 100_000).describe("Jobs that servers hold at once; 0 = nothing of it runs."),
  requestsPerMinute: choice(1, 10_000_000),
  requestsAtOnce: choice(1, 100_000).describe("Requests under way at once, event streams aside."),
  streamsMax: choice(0, 100_000).describe("Event streams that are open at once."),
});

export const tenantLimitsViewSchema = z.object({
  tenant: z.string(),
  choices: tenantLimitChoicesSchema,
  limits: z
    .object({
      jobsQueuedMax: z.int(),
      jobsRunningMax: z.int().nullable().describe("null = any number."),
      requestsPerMinute: z.int(),
      requestsAtOnce: z.int(),
      streamsMax: z.int(),
    })
    .describe("What holds: the choices, else the defaults of the process that answers."),
});

/** `GET|PUT tenants/{name}/limits`: what one tenant may have and do, for operators. */
export function addTenantLimitRoutes(routes: GuardedRoutes, dependencies: ApiDependencies): void {
  const { tenantLimits, limits } = dependencies;
  const view = (tenant: Tenant, choices: TenantLimitChoices): z.infer<typeof tenantLimitsViewSchema> => ({
    tenant: tenant.name,
    choices,
    limits: limits.resolve(choices),
  });
  routes.resource("tenants/:name/limits", {
    body: jsonBody(),
    get: async (request, response) => {
      const { tenant, choices } = await found(request, tenantLimits);
      response.json(view(tenant, choices));
    },
    put: async (request, response) => {
      const choices = readBody(request, tenantLimitChoicesSchema);
      const { tenant } = await found(request, tenantLimits);
      await tenantLimits.saveChoices(tenant.id, choices, actorOf(principalOf(response)));
      limits.learn(tenant.id, choices);
      response.json(view(tenant, choices));
    },
  });
}

async function found(
  request: Request,
  store: ApiDependencies["tenantLimits"],
): Promise<{ tenant: Tenant; choices: TenantLimitChoices }> {
  const { name } = request.params;
  const tenant =
    typeof name === "string" && /^[a-z0-9-]{1,63}$/.test(name) ? await store.findByName(name) : null;
  if (tenant === null) throw new RefusedError("tenant-not-found", "There is no tenant of this name.");
  return tenant;
}
