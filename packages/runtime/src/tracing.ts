import { type Logger } from "./logger.ts";
import { noTracing, type Tracing } from "./trace-spans.ts";

/**
 * Loads OpenTelemetry only if there is a collector to tell.
 * @param options.endpoint of a collector that takes OTLP over HTTP, without `/v1/traces`; `undefined` = nothing is traced
 */
export async function openTracing(options: {
  service: "genga-api" | "genga-worker";
  endpoint: string | undefined;
  log: Logger;
}): Promise<Tracing> {
  const { service, endpoint, log } = options;
  if (endpoint === undefined) return noTracing;
  const { openOtlpTracing } = await import("./otlp-tracing.ts");
  return openOtlpTracing({ service, endpoint, log });
}
