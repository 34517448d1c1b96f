import { roles } from "@genga/jobs";
import { z } from "zod";

/** Keys of API_KEYS have at most 256 characters; created ones are shorter. */
const keyLengthMax = 256;

export const signInSchema = z.strictObject({
  apiKey: z.string().min(1).max(keyLengthMax).describe("The key to sign in with. It is not kept."),
});

export const sessionViewSchema = z.object({
  id: z.uuid().nullable().describe("Of the session; null where the request came without one."),
  tenant: z.string().nullable(),
  role: z
    .enum(roles)
    .nullable()
    .describe("What the sender may do; null = nothing that needs a key, until it signs in."),
  keyName: z.string().nullable().describe("The name of the key, under which changes are recorded."),
  createdAt: z.iso.datetime().nullable(),
  expiresAt: z.iso
    .datetime()
    .nullable()
    .describe("The session ends then at the latest, and earlier if it is not used."),
  needsKey: z.boolean().describe("False where no key exists: everybody on this machine may do everything."),
});

export const sessionEntrySchema = z.object({
  id: z.uuid(),
  tenant: z.string(),
  keyName: z.string().describe("The name of the key at the sign-in."),
  createdAt: z.iso.datetime(),
  lastUsedAt: z.iso.datetime().describe("To the minute."),
  idleUntil: z.iso.datetime().describe("The session ends then unless it is used before."),
  expiresAt: z.iso.datetime().describe("The session ends then, however often it is used."),
  isOwn: z.boolean().describe("This request came with it."),
});
