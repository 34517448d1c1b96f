import { isKeyName, isTenantName, roles } from "@genga/jobs";
import { z } from "zod";

const overlapMinutesMax = 30 * 24 * 60;

export const newKeySchema = z.strictObject({
  name: z
    .string()
    .refine(isKeyName, {
      error: "1 to 64 letters, digits, spaces, dots, hyphens or underscores, a letter or digit first",
    })
    .meta({ pattern: "^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$" })
    .describe("Names the key in events. No two working keys may have one name."),
  tenant: z
    .string()
    .refine(isTenantName, {
      error: "lower-case letters, digits and hyphens, at most 63, and not named as a role is",
    })
    .meta({ pattern: `^(?!(${roles.join("|")})$)[a-z0-9][a-z0-9-]{0,62}$` })
    .describe("The tenant whose jobs the key may use; created if there is none of this name."),
  role: z
    .enum(roles)
    .default("submit")
    .describe("What the key may do; each role includes the roles before it."),
});

export const keyRotationSchema = z.strictObject({
  overlapMinutes: z
    .int()
    .min(0)
    .max(overlapMinutesMax)
    .default(24 * 60)
    .describe("For how long the old value goes on working; 0 = it stops working at once."),
});

export const keyViewSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  tenant: z.string(),
  role: z.enum(roles),
  createdAt: z.iso.datetime(),
  lastUsedAt: z.iso.datetime().nullable().describe("To the minute; null = never used."),
  revokedAt: z.iso.datetime().nullable(),
  previousValidUntil: z.iso
    .datetime()
    .nullable()
    .describe("After a rotation: until when the old value goes on working."),
});

export const toldKeySchema = keyViewSchema.extend({
  key: z.string().describe("The value to send. It is shown only in this answer."),
});
