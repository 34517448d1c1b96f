import { answerExamples, bodyExamples } from "./examples.ts";
import { json, type Answer, type Operation } from "./operation.ts";

const ok = (description: string, content: Answer["content"]): Operation["answers"] => ({
  200: { description, ...(content === undefined ? {} : { content }) },
});
const html = { "text/html": { schema: { type: "string" } } };

/** The farm, for whoever watches over it, and this service itself. */
export const operatingOperations: readonly Operation[] = [
  {
    id: "getQueue",
    tag: "farm",
    method: "GET",
    path: "queue",
    summary: "How much of one's own waits and runs",
    description: "Keys that operate are shown all tenants' jobs and the figures of the farm as well.",
    answers: ok("Counts.", json("Queue")),
  },
  {
    id: "listServers",
    tag: "farm",
    method: "GET",
    path: "servers",
    summary: "The ComfyUI servers and how they are doing",
    description: "By public names; keys that operate are shown addresses, workers and reasons as well.",
    answers: ok("All of them.", json("Servers")),
  },
  ...(["drain", "resume"] as const).map((action): Operation => ({
    id: `${action}Server`,
    tag: "farm",
    method: "POST",
    path: `servers/:id/${action}`,
    summary: action === "drain" ? "Give a server no new work" : "Give a server work again",
    answers: {
      202: {
        description: "From now on.",
        content: json("ServerAction", answerExamples.ServerAction),
      },
    },
    refusals: ["server-not-found"],
  })),
  {
    id: "removeServer",
    tag: "farm",
    method: "DELETE",
    path: "servers/:id",
    summary: "Remove a retired server",
    description: "The history of its jobs stays. It comes back when a worker's configuration names it again.",
    answers: { 204: { description: "It is gone." } },
    refusals: ["server-not-found", "server-in-use"],
  },
  {
    id: "listWorkers",
    tag: "farm",
    method: "GET",
    path: "workers",
    summary: "The worker processes that live",
    answers: ok("All of them.", json("Workers")),
  },
  ...(["pause", "resume"] as const).map((action): Operation => ({
    id: `${action}Farm`,
    tag: "farm",
    method: "POST",
    path: `farm/${action}`,
    summary: action === "pause" ? "Begin nothing new on any server" : "Let the farm work again",
    description: "Running prompts go on, and jobs are accepted, in either case.",
    answers: {
      202: {
        description: "From now on.",
        content: json("FarmState"),
      },
    },
  })),
  {
    id: "getTenantLimits",
    tag: "farm",
    method: "GET",
    path: "tenants/:name/limits",
    summary: "What one tenant may have and do",
    answers: ok("What was chosen for it, and what holds.", json("TenantLimits")),
    refusals: ["tenant-not-found"],
  },
  {
    id: "setTenantLimits",
    tag: "farm",
    method: "PUT",
    path: "tenants/:name/limits",
    summary: "Say what one tenant may have and do",
    description: "It holds in all processes within seconds; nothing that was accepted is taken back.",
    body: json("TenantLimitChoices", bodyExamples.TenantLimitChoices),
    answers: ok("What holds now.", json("TenantLimits")),
    refusals: [
      ...(["malformed-json", "repeated-name", "body-too-large", "unsupported-media-type"] as const),
      ...(["invalid-request", "unknown-field", "missing-field", "invalid-field", "out-of-bounds"] as const),
      ...(["tenant-not-found", "too-many-bodies"] as const),
    ],
  },
  {
    id: "getHealth",
    tag: "service",
    method: "GET",
    path: "health",
    summary: "How each part is; 200 as long as this process lives",
    answers: ok("Each part's state.", json("Health")),
  },
  {
    id: "getReadiness",
    tag: "service",
    method: "GET",
    path: "health/ready",
    summary: "Whether this process can accept jobs; the other parts are for information",
    answers: {
      ...ok("It can.", json("Readiness")),
      503: { description: "It cannot, since the database is away.", content: json("Readiness") },
    },
  },
  {
    id: "getMetrics",
    tag: "service",
    method: "GET",
    path: "/metrics",
    summary: "Figures for Prometheus",
    answers: ok("Prometheus' text format.", { "text/plain": { schema: { type: "string" } } }),
  },
  {
    id: "getBoard",
    tag: "service",
    method: "GET",
    path: "/admin/queues",
    summary: "Bull Board, read-only",
    answers: ok("A page.", html),
  },
  {
    id: "getLandingPage",
    tag: "service",
    method: "GET",
    path: "/",
    summary: "Where to go from here",
    answers: ok("A page.", html),
  },
  {
    id: "getDocumentation",
    tag: "service",
    method: "GET",
    path: "/docs",
    summary: "This document, to be read",
    answers: ok("A page.", html),
  },
  {
    id: "getDescription",
    tag: "service",
    method: "GET",
    path: "/openapi.json",
    summary: "This document",
    answers: ok("OpenAPI 3.1.", json({ type: "object" })),
  },
];
