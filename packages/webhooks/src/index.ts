export { urlCharactersMax, urlProblem, type UrlRules } from "./addresses/webhook-url.ts";
export { createDeliverer, urlRulesOf } from "./delivering/create-deliverer.ts";
export { type WebhookDeliverer } from "./delivering/webhook-deliverer.ts";
export { createWebhookMetrics, type WebhookMetrics } from "./delivering/webhook-metrics.ts";
export { isSecret, makeSecret, secretPattern } from "./sending/signature.ts";
