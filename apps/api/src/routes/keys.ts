import { actorOf, isKeyName, isTenantName, roles, type AccessKey } from "@genga/jobs";
import { z } from "zod";
import { principalOf } from "../access/access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { jsonBody } from "../http/json-body.ts";
import { RefusedError } from "../http/problem-document.ts";
import { idOf, readBody } from "../http/request-values.ts";

const minuteMs = 60_000;
const overlapMinutesMax = 30 * 24 * 60;

export const newKeySchema = z.strictObject({
  name: z
    .string()
    .refine(isKeyName, {
      error: "1 to 64 letters, digits, spaces, dots, hyphens or underscores, a letter or digit first",
    })
    .meta({ pattern: "^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$" })
    .describe("Says in events which key it was. No other key that works may have it."),
  tenant: z
    .string()
    .refine(isTenantName, {
      error: "lower-case letters, digits and hyphens, at most 63, and not named as a role is",
    })
    .meta({ pattern: `^(?!(${roles.join("|")})$)[a-z0-9][a-z0-9-]{0,62}$` })
    .describe("Whose jobs it is about; made where there is none of this name."),
  role: z
    .enum(roles)
    .default("submit")
    .describe("What it may do; each role also what the ones before it may."),
});

export const keyRotationSchema = z.strictObject({
  overlapMinutes: z
    .int()
    .min(0)
    .max(overlapMinutesMax)
    .default(24 * 60)
    .describe("For how long what was sent before is taken as well; 0 = not any more."),
});

export const keyViewSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  tenant: z.string(),
  role: z.enum(roles),
  createdAt: z.iso.datetime(),
  lastUsedAt: z.iso.datetime().nullable().describe("To the minute; null = never yet."),
  revokedAt: z.iso.datetime().nullable(),
  previousValidUntil: z.iso
    .datetime()
    .nullable()
    .describe("After a rotation: until when what was sent before is taken as well."),
});

export const toldKeySchema = keyViewSchema.extend({
  key: z.string().describe("What to send. It is shown this once."),
});

/** `GET|POST keys`, `POST keys/{id}/rotate`, `DELETE keys/{id}`: the keys that operators make. Those of API_KEYS are not among them. */
export function addKeyRoutes(routes: GuardedRoutes, { keys, madeKeys }: ApiDependencies): void {
  routes.resource("keys", {
    body: jsonBody(),
    get: async (_request, response) => {
      response.json({ keys: (await keys.listKeys()).map(viewOfKey) });
    },
    post: async (request, response) => {
      const { name, tenant, role } = readBody(request, newKeySchema);
      const told = await keys.addKey({ tenantName: tenant, name, role }, actorOf(principalOf(response)));
      madeKeys.forget();
      response.status(201).json({ ...viewOfKey(told.accessKey), key: told.key });
    },
  });
  routes.resource("keys/:id", {
    delete: async (request, response) => {
      const revoked = await keys.revokeKey(idOf(request), actorOf(principalOf(response)));
      madeKeys.forget();
      if (revoked === null) throw unknownKey(idOf(request));
      response.json(viewOfKey(revoked));
    },
  });
  routes.resource("keys/:id/rotate", {
    body: jsonBody({ isOptional: true }),
    post: async (request, response) => {
      if (request.body === undefined) request.body = {};
      const { overlapMinutes } = readBody(request, keyRotationSchema);
      const told = await keys.rotateKey(
        idOf(request),
        overlapMinutes * minuteMs,
        actorOf(principalOf(response)),
      );
      madeKeys.forget();
      if (told === null) throw unknownKey(idOf(request));
      response.json({ ...viewOfKey(told.accessKey), key: told.key });
    },
  });
}

function unknownKey(id: string): RefusedError {
  return new RefusedError("key-not-found", `There is no key ${id.slice(0, 100)} that works.`);
}

function viewOfKey(key: AccessKey): z.infer<typeof keyViewSchema> {
  return {
    id: key.id,
    name: key.name,
    tenant: key.tenant.name,
    role: key.role,
    createdAt: key.createdAt.toISOString(),
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
    previousValidUntil: key.previousValidUntil?.toISOString() ?? null,
  };
}
