import { z } from "zod";

const milliseconds = z.number().nonnegative().max(3_600_000);
const next = z.number().int().positive().max(1_000_000).default(1);

/** The faults that a test can request on the control interface. The protocol port gives no sign of such a request. */
export const faultSchema = z.discriminatedUnion("kind", [
  /** All sockets break, without a close frame. */
  z.object({ kind: z.literal("drop-sockets") }),
  /** The sockets that are open now stay open and send nothing more, not even pongs. */
  z.object({ kind: z.literal("half-open-sockets") }),
  /** TCP connections stay open and nothing answers; afterwards the server continues. */
  z.object({ kind: z.literal("freeze"), ms: milliseconds }),
  /** The executor thread dies: all routes still answer, but no prompt runs any more. */
  z.object({ kind: z.literal("wedge") }),
  /** Forgets queue, history and counter, as a restart does; sockets drop. */
  z.object({ kind: z.literal("amnesia") }),
  /** The same, with the port closed for a while. */
  z.object({ kind: z.literal("restart"), downMs: milliseconds.default(0) }),
  /** The process ends at once. Inside a test's own process only the server ends, until `restart`. */
  z.object({ kind: z.literal("crash") }),
  /** The next samplings run out of GPU memory. */
  z.object({ kind: z.literal("out-of-memory"), next }),
  /** Replies to paths with this beginning are delayed. */
  z.object({ kind: z.literal("delay-replies"), path: z.string().startsWith("/"), ms: milliseconds }),
  /** The next accepted prompts get no reply: the connection breaks after queueing. */
  z.object({ kind: z.literal("lose-next-prompt-reply"), next }),
  /** The next accepted prompts are answered with 500, although they are queued. */
  z.object({ kind: z.literal("error-after-queueing"), next }),
  /** The next files lose their second half, vanish, or are empty, although the prompt succeeds. */
  z.object({ kind: z.literal("truncate-output"), next }),
  z.object({ kind: z.literal("missing-output"), next }),
  z.object({ kind: z.literal("empty-output"), next }),
]);

export type Fault = z.output<typeof faultSchema>;
export type FaultRequest = z.input<typeof faultSchema>;
