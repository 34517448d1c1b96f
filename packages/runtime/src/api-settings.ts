import { z } from "zod";
import { wholeNumber } from "./setting-values.ts";

const threadStarts = ["at-start", "when-needed"] as const;

/** How an API process starts and ends. */
export interface ApiSettings {
  /** An API that is asked to stop tells that it is not ready for this long before it ends streams and connections. */
  readonly apiDrainMs: number;
  /** When the thread that takes large submissions is started. */
  readonly submissionThread: (typeof threadStarts)[number];
}

/** The variables of these settings, in the order of `.env.example`. */
export const apiVariables = {
  API_DRAIN_MS: wholeNumber(0, 4_000).default(0),
  SUBMISSION_THREAD: z.enum(threadStarts, { error: `one of ${threadStarts.join(", ")}` }).default("at-start"),
};

export function apiSettingsFrom(values: z.output<z.ZodObject<typeof apiVariables>>): ApiSettings {
  return { apiDrainMs: values.API_DRAIN_MS, submissionThread: values.SUBMISSION_THREAD };
}
