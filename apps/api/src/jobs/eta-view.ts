import { type Batch, type Job } from "@genga/jobs";
import { z } from "zod";
import { type Sight } from "../access/sight.ts";
import { type Waiting } from "./waiting-reason.ts";

const momentsSchema = z
  .object({ low: z.iso.datetime(), expected: z.iso.datetime(), high: z.iso.datetime() })
  .describe("Probably then; in four of five cases between low and high.");

/** What jobs and batches are shown with. */
export const etaFields = {
  eta: z
    .object({
      startsAt: momentsSchema
        .nullable()
        .describe("When it begins to execute; null if it has begun, and for batches."),
      endsAt: momentsSchema,
    })
    .nullable()
    .describe("An estimate by measured runs; null if there is none, and then `etaReason` says why."),
  etaReason: z
    .object({
      code: z.enum(["not-measured", "held-up", "ended"]),
      message: z.string(),
    })
    .nullable()
    .describe(
      "not-measured: nothing like it, or like what comes before it, has run yet; held-up: something else than other jobs " +
        "keeps it from beginning, as `waitingFor` says; ended: it has ended.",
    ),
};

export type NoEta = NonNullable<z.infer<(typeof etaFields)["etaReason"]>>;

/** A moment, in milliseconds from now. */
export interface InMs {
  lowMs: number;
  ms: number;
  highMs: number;
}

/** When a job or batch begins and ends. */
export type Eta = { startsIn: InMs | null; endsIn: InMs } | NoEta;

/** Estimates by measured runs; the folder `eta` implements it. */
export interface Etas {
  /** @param waiting why the job waits; `null` = it does not wait */
  ofJob(job: Job, waiting: Waiting | null): Promise<Eta>;
  ofBatch(batch: Batch, sight: Sight): Promise<Eta>;
}

export function viewOfEta(eta: Eta): {
  [Field in keyof typeof etaFields]: z.infer<(typeof etaFields)[Field]>;
} {
  if ("code" in eta) return { eta: null, etaReason: eta };
  const now = Date.now();
  const startsAt = eta.startsIn === null ? null : momentsOf(eta.startsIn, now);
  return { eta: { startsAt, endsAt: momentsOf(eta.endsIn, now) }, etaReason: null };
}

function momentsOf({ lowMs, ms, highMs }: InMs, now: number): z.infer<typeof momentsSchema> {
  return { low: momentIn(lowMs, now), expected: momentIn(ms, now), high: momentIn(highMs, now) };
}

/** Whatever was measured, it is a moment that can be written. */
const latestMs = 100 * 365 * 24 * 3_600_000;

function momentIn(ms: number, now: number): string {
  return new Date(now + Math.min(Math.max(ms, 0), latestMs)).toISOString();
}
