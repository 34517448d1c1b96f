import { actorOf, type AccessKey } from "@genga/jobs";
import { type z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { jsonObject } from "../routing/bodies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";
import { type keyViewSchema } from "../schemas/keys.ts";

// These routes manage the keys that operators create. The keys of API_KEYS are not among them.

type Parts = Pick<ApiDependencies, "keys" | "madeKeys" | "sessions">;

const minuteMs = 60_000;

export const listKeys = route({
  id: "listKeys",
  tag: "keys",
  method: "GET",
  path: "keys",
  access: "operate",
  summary: "The keys that were created, newest first",
  description: "Revoked ones too, at most 1,000. Keys of `API_KEYS` are not among them.",
  answers: { 200: { description: "The keys, without their secret values.", content: json("Keys") } },
  handler: async (_asked, { keys }: Parts) => ({ json: { keys: (await keys.listKeys()).map(viewOfKey) } }),
});

export const addKey = route({
  id: "addKey",
  tag: "keys",
  method: "POST",
  path: "keys",
  access: "operate",
  summary: "Create a key",
  description:
    "`key` of the answer is the value to send; it is shown only here. Once the first key was ever created, keys are needed " +
    "on loopback, too.",
  body: jsonObject("NewKey"),
  answers: { 201: { description: "It works from now on.", content: json("ToldKey") } },
  problems: ["invalid-request", "missing-field", "out-of-bounds", "key-name-taken"],
  handler: async ({ body: { name, tenant, role }, principal }, { keys, madeKeys }: Parts) => {
    const told = await keys.addKey({ tenantName: tenant, name, role }, actorOf(principal));
    madeKeys.forget();
    return { json: { ...viewOfKey(told.accessKey), key: told.key } };
  },
});

export const rotateKey = route({
  id: "rotateKey",
  tag: "keys",
  method: "POST",
  path: "keys/:id/rotate",
  access: "operate",
  subject: "key",
  summary: "Give a key a new secret value",
  description:
    "The new value `key` works at once, and the old value goes on working for the overlap. If the answer is lost, " +
    "rotate again.",
  body: jsonObject("KeyRotation", { isOptional: true }),
  answers: {
    200: { description: "The new value works, and the old one for the overlap.", content: json("ToldKey") },
  },
  problems: ["invalid-request", "out-of-bounds", "key-not-found"],
  handler: async ({ id, absent, body, principal }, { keys, madeKeys, sessions }: Parts) => {
    const told = await keys.rotateKey(id, body.overlapMinutes * minuteMs, actorOf(principal));
    madeKeys.forget();
    sessions.forget();
    if (told === null) throw absent();
    return { json: { ...viewOfKey(told.accessKey), key: told.key } };
  },
});

export const revokeKey = route({
  id: "revokeKey",
  tag: "keys",
  method: "DELETE",
  path: "keys/:id",
  access: "operate",
  subject: "key",
  summary: "Revoke a key",
  description:
    "Every process refuses the key and its sessions within 10 s, and soon after that ends the event streams that were opened with it.",
  answers: { 200: { description: "It is revoked.", content: json("Key") } },
  problems: ["key-not-found"],
  handler: async ({ id, absent, principal }, { keys, madeKeys, sessions }: Parts) => {
    const revoked = await keys.revokeKey(id, actorOf(principal));
    madeKeys.forget();
    sessions.forget();
    if (revoked === null) throw absent();
    return { json: viewOfKey(revoked) };
  },
});

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
