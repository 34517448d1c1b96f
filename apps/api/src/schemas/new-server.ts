import { isServerLabel, labelShape, labelsMax } from "@genga/jobs";
import { slotsMax } from "@genga/runtime";
import { z } from "zod";

const credentialPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export const newServerSchema = z
  .strictObject({
    url: z
      .string()
      .min(1)
      .max(2_000)
      .describe("Begins with http:// or https://; without user, password, query and fragment."),
    slots: z
      .int()
      .min(1)
      .max(slotsMax)
      .optional()
      .describe("How many prompts it may hold. Absent = SERVER_SLOTS of the API."),
    labels: z
      .array(z.string().refine(isServerLabel, { error: labelShape }))
      .max(labelsMax.ofServer)
      .optional()
      .describe("Jobs may require them."),
    credential: z
      .string()
      .regex(credentialPattern)
      .optional()
      .describe(
        "The name of credentials in COMFYUI_SERVERS_FILE of the workers. A worker sends them only to servers whose origin its file " +
          "lists under `origins` of the credentials; else the server is `denied`.",
      ),
    authorization: z
      .union([
        z.strictObject({
          basic: z.strictObject({
            user: z
              .string()
              .max(256)
              .regex(/^[ -9;-~\u00a1-\ud7ff]*$/),
            password: z
              .string()
              .max(4_096)
              .regex(/^[ -~\u00a1-\ud7ff]*$/),
          }),
        }),
        z.strictObject({ bearer: z.strictObject({ token: z.string().regex(/^[\x21-\x7e]{1,4096}$/) }) }),
      ])
      .optional()
      .describe(
        "Sent to the server with each request. Kept encrypted, and shown nowhere. Not together with `credential`.",
      ),
  })
  .meta({ not: { required: ["credential", "authorization"] } });

export const addedServerSchema = z.object({
  id: z.uuid(),
  name: z.string().describe("Its public name."),
  url: z.string(),
});
