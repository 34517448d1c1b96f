import { z } from "zod";
import { templateShape } from "../archives/name-template.ts";

const unitsSeconds = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** Up to 7 days, the longest that buckets sign for. */
const expiresInPattern =
  "^(?:[1-9][0-9]{0,4}s|[1-5][0-9]{5}s|60[0-3][0-9]{3}s|604[0-7][0-9]{2}s|604800s|[1-9][0-9]{0,3}m|10080m|[1-9][0-9]?h|1[0-5][0-9]h|16[0-8]h|[1-7]d)$";

export const expiresInDefault = "1h";

const expiresIn = z
  .string()
  .regex(new RegExp(expiresInPattern), { error: "must be a time up to 7d, such as 90s, 15m, 12h or 3d" })
  .optional()
  .describe(`How long the link works, up to 7 days: 90s, 15m, 12h, 3d. Default: ${expiresInDefault}.`);

export const newLinkSchema = z.strictObject({ expiresIn });
export const newZipLinkSchema = z.strictObject({
  expiresIn,
  names: z
    .string()
    .meta(templateShape)
    .optional()
    .describe("How the files of the zip are named, as in the query of the zip."),
});

export function secondsOf(text: string): number {
  const unit = text.at(-1) as keyof typeof unitsSeconds;
  return Number.parseInt(text, 10) * unitsSeconds[unit];
}

export const signedLinkViewSchema = z.object({
  url: z.url().describe("Works without a key, for everybody who has it."),
  expiresAt: z.iso.datetime(),
  leadsTo: z.enum(["api", "bucket"]),
});
