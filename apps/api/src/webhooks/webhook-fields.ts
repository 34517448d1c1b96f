import { usualWebhookEvents, webhookEventTypes } from "@genga/jobs";
import { isSecret, secretPattern, urlCharactersMax } from "@genga/webhooks";
import { z } from "zod";
import { storableText } from "../http/request-values.ts";

const url = storableText(urlCharactersMax)
  .meta({ format: "uri" })
  .describe(
    "Where events are sent, by POST: an https URL on the public internet, without user, password and fragment. The operator " +
      "may allow more.",
  );

const events = z
  .array(z.enum(webhookEventTypes))
  .min(1)
  .max(webhookEventTypes.length)
  .refine((given) => new Set(given).size === given.length, { error: "each event once" })
  .meta({ uniqueItems: true });

const secret = z
  .string()
  .refine(isSecret, { error: "whsec_ and 24 to 64 bytes in base64" })
  .meta({ pattern: secretPattern });

/** What a webhook is made of, wherever it is named. */
export const webhookFields = {
  url,
  events: events.optional().describe(`Absent = ${usualWebhookEvents.join(", ")}.`),
  secret,
};

/** The webhook of a submission. Its secret is never shown, so that the answer can be repeated. */
export const submittedWebhookSchema = z.strictObject({
  ...webhookFields,
  secret: secret.describe(
    "Signs what is sent: whsec_ and 24 to 64 random bytes in base64, which your receiver knows.",
  ),
});
