import { actorOf, type Tenant, type TenantLimitChoices } from "@genga/jobs";
import { type z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { jsonObject } from "../routing/bodies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";
import { type tenantLimitsViewSchema } from "../schemas/tenant-limits.ts";

type Parts = Pick<ApiDependencies, "tenantLimits" | "limits">;

const ofTenant = {
  tag: "farm",
  path: "tenants/:name/limits",
  access: "operate",
  subject: "tenant",
} as const;

export const getTenantLimits = route({
  ...ofTenant,
  id: "getTenantLimits",
  method: "GET",
  summary: "The limits of one tenant",
  answers: {
    200: {
      description: "The choices that operators made for the tenant, and the limits that hold.",
      content: json("TenantLimits"),
    },
  },
  problems: ["tenant-not-found"],
  handler: async ({ id: name, absent }, { tenantLimits, limits }: Parts) => {
    const found = await tenantLimits.findByName(name);
    if (found === null) throw absent();
    return { json: view(found.tenant, found.choices, limits) };
  },
});

export const setTenantLimits = route({
  ...ofTenant,
  id: "setTenantLimits",
  method: "PUT",
  summary: "Set the limits of one tenant",
  description: "The limits hold in all processes within seconds. Jobs that were accepted stay accepted.",
  body: jsonObject("TenantLimitChoices"),
  answers: { 200: { description: "The limits that hold now.", content: json("TenantLimits") } },
  problems: ["invalid-request", "missing-field", "out-of-bounds", "tenant-not-found"],
  handler: async ({ id: name, absent, body: choices, principal }, { tenantLimits, limits }: Parts) => {
    const found = await tenantLimits.findByName(name);
    if (found === null) throw absent();
    const { tenant } = found;
    await tenantLimits.saveChoices(tenant.id, choices, actorOf(principal));
    limits.learn(tenant.id, choices);
    return { json: view(tenant, choices, limits) };
  },
});

function view(
  tenant: Tenant,
  choices: TenantLimitChoices,
  limits: ApiDependencies["limits"],
): z.infer<typeof tenantLimitsViewSchema> {
  return { tenant: tenant.name, choices, limits: limits.resolve(choices) };
}
