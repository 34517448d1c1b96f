import { type z } from "zod";
import { wholeNumber } from "./setting-values.ts";

/** How long somebody who signed in with a key stays signed in. */
export interface SessionSettings {
  /** A session that was not used for this long ends. */
  readonly idleMs: number;
  /** A session ends after this long, however often it is used. */
  readonly lifetimeMs: number;
}

const hourMs = 60 * 60_000;
/** Browsers keep no cookie for longer than 400 days. */
const hoursMax = 400 * 24;

/** The variables of these settings, in the order of `.env.example`. */
export const sessionVariables = {
  SESSION_IDLE_HOURS: wholeNumber(1, hoursMax).default(7 * 24),
  SESSION_HOURS: wholeNumber(1, hoursMax).default(30 * 24),
};

export function sessionsFrom(values: z.infer<z.ZodObject<typeof sessionVariables>>): SessionSettings {
  return { idleMs: values.SESSION_IDLE_HOURS * hourMs, lifetimeMs: values.SESSION_HOURS * hourMs };
}
