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
