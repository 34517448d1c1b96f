import { z } from "zod";

const bytesSchema = z.custom<Uint8Array<ArrayBuffer>>((value) => ArrayBuffer.isView(value));
const numbersSchema = z.custom<Uint32Array<ArrayBuffer>>((value) => ArrayBuffer.isView(value));

const leaseSchema = z.object({ serverId: z.string(), leaseNumber: z.number() });

/** A request to the thread that reads definitions. */
const requestSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("keep"),
    lease: leaseSchema,
    objectInfo: bytesSchema,
    replacements: bytesSchema.nullable(),
    /** Hashes of definitions that the requester already has; the thread does not send those again. */
    known: z.array(z.string()),
    /** The hash that the server's row already has under this lease. */
    storedHash: z.string().nullable(),
  }),
  /** The server's definitions are those of this hash, which were stored before for another server. */
  z.object({ kind: z.literal("name"), lease: leaseSchema, hash: z.string() }),
  z.object({ kind: z.literal("find"), hash: z.string() }),
]);
export type DefinitionsRequest = z.infer<typeof requestSchema>;

const packedSchema = z.object({
  names: z.array(z.string()),
  ends: numbersSchema,
  texts: bytesSchema,
  replacements: z.string(),
});

const answerSchema = z.discriminatedUnion("kind", [
  /** `packed` is null if the requester already has the definitions. */
  z.object({ kind: z.literal("definitions"), hash: z.string(), packed: packedSchema.nullable() }),
  z.object({ kind: z.literal("named") }),
  z.object({ kind: z.literal("not-stored") }),
  /** The lease was lost, or nothing is stored under the hash. */
  z.object({ kind: z.literal("none") }),
  z.object({
    kind: z.literal("unavailable"),
    message: z.string(),
    fault: z.enum(["unreachable", "timeout", "busy"]),
    wasRefused: z.boolean(),
  }),
  z.object({ kind: z.literal("failed"), message: z.string() }),
]);
export type DefinitionsReply = z.infer<typeof answerSchema>;

export const askedSchema = z.object({ id: z.number(), request: requestSchema });
export const replySchema = z.object({ id: z.number(), reply: answerSchema });
