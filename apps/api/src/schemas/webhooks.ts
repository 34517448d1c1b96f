import { webhookDeliveryStatuses, webhookEventTypes, webhookTestType } from "@genga/jobs";
import { z } from "zod";
import { webhookFields } from "../webhooks/webhook-fields.ts";

const { url, events, secret } = webhookFields;

const overlapMinutesMax = 30 * 24 * 60;

export const newWebhookSchema = z.strictObject({
  ...{ url, events },
  secret: secret
    .optional()
    .describe("Signs what is sent. Absent = one is made. The answer shows it, and no other does."),
});

export const webhookChangeSchema = z.strictObject({
  url: url.optional(),
  events,
  enabled: z
    .boolean()
    .optional()
    .describe(
      "`true` also forgets that the webhook has failed. What happens while it is disabled is never sent.",
    ),
});

export const webhookRotationSchema = z.strictObject({
  secret: secret.optional().describe("Absent = one is made."),
  overlapMinutes: z
    .int()
    .min(0)
    .max(overlapMinutesMax)
    .default(24 * 60)
    .describe("For how long the old secret signs as well; 0 = not at all."),
});

const moment = z.iso.datetime();

export const webhookViewSchema = z.object({
  id: z.uuid().describe("That of a batch or a job has its id."),
  scope: z
    .enum(["tenant", "batch", "job"])
    .describe("The jobs of which it is told: all, those of a batch, or one."),
  url: z.string(),
  events: z.array(z.enum(webhookEventTypes)),
  enabled: z.boolean(),
  disabledReason: z
    .enum(["by-request", "gone", "failing"])
    .nullable()
    .describe(
      "`gone`: its receiver answered 410; `failing`: nothing but failures came for days; null = it is enabled.",
    ),
  disabledAt: moment.nullable(),
  failingSince: moment
    .nullable()
    .describe("When the first attempt failed after which none succeeded; null = the last one succeeded."),
  previousSecretValidUntil: moment
    .nullable()
    .describe("After a rotation: until when the old secret signs as well."),
  createdAt: moment,
  links: z.record(z.string(), z.url()),
});

export const toldWebhookSchema = webhookViewSchema.extend({
  secret: z.string().describe("It signs what is sent. It is shown only in this answer."),
});

export const deliveryViewSchema = z.object({
  id: z.uuid(),
  webhookId: z.uuid(),
  messageId: z.string().describe("`webhook-id` of the requests: the same in all attempts."),
  type: z.enum([...webhookEventTypes, webhookTestType]),
  occurredAt: moment,
  status: z.enum(webhookDeliveryStatuses),
  attempts: z.int().describe("Attempts that were begun."),
  nextAttemptAt: moment.nullable().describe("null = none is due, or one is under way."),
  attemptedAt: moment.nullable().describe("When the last attempt ended."),
  lastStatus: z.int().nullable().describe("What the receiver answered last; null = it did not answer."),
  lastError: z.string().nullable().describe("Why the last attempt failed."),
  endedAt: moment.nullable().describe("When it was delivered, or given up."),
  links: z.record(z.string(), z.url()),
});
