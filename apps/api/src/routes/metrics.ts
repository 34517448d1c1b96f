import { type ApiDependencies } from "../dependencies.ts";
import { route } from "../routing/route.ts";

export const getMetrics = route({
  id: "getMetrics",
  tag: "service",
  method: "GET",
  path: "/metrics",
  access: "operate",
  isPolled: true,
  summary: "Figures for Prometheus",
  answers: {
    200: {
      description: "Prometheus' text format.",
      content: { "text/plain": { schema: { type: "string" } } },
    },
  },
  handler: async (_asked, { metrics: { registry } }: Pick<ApiDependencies, "metrics">) => ({
    text: { mediaType: registry.contentType, content: await registry.metrics() },
  }),
});
