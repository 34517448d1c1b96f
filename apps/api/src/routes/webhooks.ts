import { usualWebhookEvents, webhookDeliveryStatuses, type Webhook, type WebhookDelivery } from "@genga/jobs";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { prefix } from "../http/paths.ts";
import { RefusedError } from "../http/problem-document.ts";
import { withoutUndefined } from "../http/request-values.ts";
import { jsonObject } from "../routing/bodies.ts";
import { json, location } from "../routing/contents.ts";
import { route } from "../routing/route.ts";
import { type deliveryViewSchema, type webhookViewSchema } from "../schemas/webhooks.ts";

type Parts = Pick<ApiDependencies, "webhooks" | "newWebhooks" | "signals">;

const minuteMs = 60_000;
const webhook = { tag: "webhooks", path: "webhooks/:id", subject: "webhook" } as const;

export const listWebhooks = route({
  id: "listWebhooks",
  tag: "webhooks",
  method: "GET",
  path: "webhooks",
  access: "read",
  summary: "The webhooks for all jobs, oldest first",
  description: "Those of batches and jobs are not among them; each has the id of its batch or job.",
  answers: { 200: { description: "The webhooks, without their secrets.", content: json("Webhooks") } },
  handler: async ({ principal, baseUrl }, { webhooks }: Parts) => {
    const found = await webhooks.listWebhooks(principal.tenant.id);
    return { json: { webhooks: found.map((each) => viewOfWebhook(each, baseUrl)) } };
  },
});

export const addWebhook = route({
  id: "addWebhook",
  tag: "webhooks",
  method: "POST",
  path: "webhooks",
  access: "submit",
  summary: "Have the events of all jobs sent to a URL",
  description:
    "What happens from now on is sent there, signed as Standard Webhooks describes. `secret` of the answer is what receivers " +
    "verify by; it is shown only here.",
  body: jsonObject("NewWebhook"),
  answers: { 201: { description: "It is stored.", content: json("ToldWebhook"), headers: location } },
  problems: ["invalid-request", "missing-field", "out-of-bounds", "secrets-key-missing", "too-many-webhooks"],
  handler: async ({ body, principal, baseUrl }, { webhooks, newWebhooks }: Parts) => {
    newWebhooks.assertUrl(body.url);
    const id = uuidv7();
    const { secret, sealed } = newWebhooks.seal(id, body.secret);
    const events = body.events ?? [...usualWebhookEvents];
    const { perTenantMax } = newWebhooks;
    const row = { id, url: body.url, events, sealedSecret: sealed };
    const added = await webhooks.addWebhook(principal.tenant.id, row, perTenantMax);
    if (added === "full") {
      const detail = `A tenant may have ${perTenantMax} webhooks for all of its jobs. Remove one, or name one in a submission.`;
      throw new RefusedError("too-many-webhooks", detail);
    }
    const view = viewOfWebhook(added, baseUrl);
    return { location: view.links["self"] ?? "", json: { ...view, secret } };
  },
});

export const getWebhook = route({
  ...webhook,
  id: "getWebhook",
  method: "GET",
  access: "read",
  summary: "One webhook",
  answers: { 200: { description: "The webhook, without its secret.", content: json("Webhook") } },
  problems: ["webhook-not-found"],
  handler: async ({ id, absent, principal, baseUrl }, { webhooks }: Parts) => {
    const found = await webhooks.findWebhook(principal.tenant.id, id);
    if (found === null) throw absent();
    return { json: viewOfWebhook(found, baseUrl) };
  },
});

export const changeWebhook = route({
  ...webhook,
  id: "changeWebhook",
  method: "PATCH",
  access: "submit",
  summary: "Change a webhook, or enable it again",
  description: "What waits to be sent goes to the new URL. Fields that are absent stay as they are.",
  body: jsonObject("WebhookChange"),
  answers: { 200: { description: "The webhook as it is now.", content: json("Webhook") } },
  problems: ["invalid-request", "out-of-bounds", "webhook-not-found"],
  handler: async ({ id, absent, body, principal, baseUrl }, { webhooks, newWebhooks }: Parts) => {
    if (body.url !== undefined) newWebhooks.assertUrl(body.url);
    const changed = await webhooks.changeWebhook(principal.tenant.id, id, withoutUndefined(body));
    if (changed === null) throw absent();
    return { json: viewOfWebhook(changed, baseUrl) };
  },
});

export const removeWebhook = route({
  ...webhook,
  id: "removeWebhook",
  method: "DELETE",
  access: "submit",
  summary: "Remove a webhook",
  description: "Nothing more is sent there, except what is under way. What waits to be sent is given up.",
  answers: { 204: { description: "It is removed." } },
  problems: ["webhook-not-found"],
  handler: async ({ id, absent, principal }, { webhooks }: Parts) => {
    if (!(await webhooks.removeWebhook(principal.tenant.id, id))) throw absent();
    return {};
  },
});

export const rotateWebhook = route({
  ...webhook,
  id: "rotateWebhook",
  method: "POST",
  path: "webhooks/:id/rotate",
  access: "submit",
  summary: "Give a webhook a new secret",
  description:
    "For the overlap, requests have two signatures, of the new and of the old secret. If the answer is lost, rotate again.",
  body: jsonObject("WebhookRotation", { isOptional: true }),
  answers: { 200: { description: "The new secret signs from now on.", content: json("ToldWebhook") } },
  problems: ["invalid-request", "out-of-bounds", "secrets-key-missing", "webhook-not-found"],
  handler: async ({ id, absent, body, principal, baseUrl }, { webhooks, newWebhooks }: Parts) => {
    if ((await webhooks.findWebhook(principal.tenant.id, id)) === null) throw absent();
    const { secret, sealed } = newWebhooks.seal(id, body.secret);
    const overlapMs = body.overlapMinutes * minuteMs;
    const rotated = await webhooks.rotateSecret(principal.tenant.id, id, { sealed, overlapMs });
    if (rotated === null) throw absent();
    return { json: { ...viewOfWebhook(rotated, baseUrl), secret } };
  },
});

export const testWebhook = route({
  ...webhook,
  id: "testWebhook",
  method: "POST",
  path: "webhooks/:id/test",
  access: "submit",
  summary: "Send a test",
  description: "A message of the type `webhook.test`. While one waits to be sent, there is no second one.",
  answers: { 202: { description: "It will be sent.", content: json("WebhookDelivery"), headers: location } },
  problems: ["webhook-not-found", "webhook-disabled"],
  handler: async ({ id, absent, principal, baseUrl }, { webhooks, signals }: Parts) => {
    const added = await webhooks.addTest(principal.tenant.id, id);
    if (added === null) throw absent();
    const view = viewOfDelivery(orDisabled(added), baseUrl);
    signals.publish("deliveries-due", { deliveries: 1 });
    return { location: view.links["self"] ?? "", json: view };
  },
});

export const listDeliveries = route({
  ...webhook,
  id: "listDeliveries",
  method: "GET",
  path: "webhooks/:id/deliveries",
  access: "read",
  summary: "What was sent to a webhook, and what waits, newest first",
  query: z.strictObject({
    status: z.enum(webhookDeliveryStatuses).optional(),
    limit: z.coerce.number().int().min(1).max(200).default(50),
    cursor: z
      .string()
      .regex(/^[1-9]\d{0,17}$/, { error: "is not a cursor of such a page" })
      .optional()
      .describe("`nextCursor` of the previous page."),
  }),
  answers: { 200: { description: "A page.", content: json("WebhookDeliveries") } },
  problems: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request", "webhook-not-found"],
  handler: async ({ id, absent, query, principal, baseUrl }, { webhooks }: Parts) => {
    const page = await webhooks.listDeliveries(principal.tenant.id, id, withoutUndefined(query));
    if (page === null) throw absent();
    const deliveries = page.items.map((each) => viewOfDelivery(each, baseUrl));
    return { json: { deliveries, nextCursor: page.nextCursor } };
  },
});

const delivery = { tag: "webhooks", path: "webhook-deliveries/:id", subject: "webhook delivery" } as const;

export const getDelivery = route({
  ...delivery,
  id: "getDelivery",
  method: "GET",
  access: "read",
  summary: "One delivery to a webhook",
  answers: { 200: { description: "The delivery.", content: json("WebhookDelivery") } },
  problems: ["webhook-delivery-not-found"],
  handler: async ({ id, absent, principal, baseUrl }, { webhooks }: Parts) => {
    const found = await webhooks.findDelivery(principal.tenant.id, id);
    if (found === null) throw absent();
    return { json: viewOfDelivery(found, baseUrl) };
  },
});

export const redeliver = route({
  ...delivery,
  id: "redeliver",
  method: "POST",
  path: "webhook-deliveries/:id/redeliver",
  access: "submit",
  summary: "Deliver again",
  description:
    "Now, with the same `webhook-id` and body, and with attempts as if it were new. One that is under way is left alone.",
  answers: { 202: { description: "It will be sent.", content: json("WebhookDelivery") } },
  problems: ["webhook-delivery-not-found", "webhook-disabled"],
  handler: async ({ id, absent, principal, baseUrl }, { webhooks, signals }: Parts) => {
    const again = await webhooks.redeliver(principal.tenant.id, id);
    if (again === null) throw absent();
    const view = viewOfDelivery(orDisabled(again), baseUrl);
    signals.publish("deliveries-due", { deliveries: 1 });
    return { json: view };
  },
});

function orDisabled(found: WebhookDelivery | "disabled"): WebhookDelivery {
  if (found !== "disabled") return found;
  throw new RefusedError("webhook-disabled", "The webhook is disabled; enable it first.");
}

function viewOfWebhook(found: Webhook, baseUrl: string): z.infer<typeof webhookViewSchema> {
  const { id, scope, url, events, disabled, failingSince, previousValidUntil, createdAt } = found;
  const self = `${baseUrl}${prefix}/webhooks/${id}`;
  return {
    ...{ id, scope, url, events, enabled: disabled === null },
    disabledReason: disabled?.reason ?? null,
    disabledAt: disabled?.at.toISOString() ?? null,
    failingSince: failingSince?.toISOString() ?? null,
    previousSecretValidUntil: previousValidUntil?.toISOString() ?? null,
    createdAt: createdAt.toISOString(),
    links: { self, deliveries: `${self}/deliveries`, test: `${self}/test` },
  };
}

function viewOfDelivery(found: WebhookDelivery, baseUrl: string): z.infer<typeof deliveryViewSchema> {
  const { id, webhookId, messageId, type, status, attempts, lastStatus, lastError } = found;
  const api = `${baseUrl}${prefix}`;
  const self = `${api}/webhook-deliveries/${id}`;
  return {
    ...{ id, webhookId, messageId, type, status, attempts, lastStatus, lastError },
    occurredAt: found.occurredAt.toISOString(),
    nextAttemptAt: found.nextAttemptAt?.toISOString() ?? null,
    attemptedAt: found.attemptedAt?.toISOString() ?? null,
    endedAt: found.endedAt?.toISOString() ?? null,
    links: { self, webhook: `${api}/webhooks/${webhookId}`, redeliver: `${self}/redeliver` },
  };
}
