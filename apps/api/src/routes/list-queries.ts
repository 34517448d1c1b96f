import { z } from "zod";
import { storableText } from "../http/request-values.ts";

/** A UUID in base64url; `decodeCursor` of packages/database reads it. */
const cursorPattern = "^[A-Za-z0-9_-]{8}[E-Za-j][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$";

/** The query of a list that comes in pages. */
export const pageQueryFields = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .max(200)
    .optional()
    .describe("`nextCursor` of the previous page.")
    .meta({ pattern: cursorPattern }),
};

export const labelQueryFields = {
  project: storableText(100).optional(),
  scene: storableText(100).optional(),
  shot: storableText(100).optional(),
  tag: storableText(64).optional(),
};

/** For streams. */
export const previewsField = {
  previews: z
    .enum(["true", "false"])
    .optional()
    .describe("Also tell when a running job has a new preview picture, as `preview`; default: false."),
};
