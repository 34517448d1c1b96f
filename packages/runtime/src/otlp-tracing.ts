import { diag, DiagLogLevel, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import pTimeout from "p-timeout";
import { type Logger } from "./logger.ts";
import { type SpanStart, type TraceSpan, type Tracing } from "./trace-spans.ts";

/** A process that stops waits this long for the collector. */
const closeWithinMs = 2_000;
/** A collector that is away is told once in this time. */
const warnEveryMs = 5 * 60_000;

const kinds = { server: SpanKind.SERVER, consumer: SpanKind.CONSUMER };

/**
 * Spans are kept in a bounded queue and sent in the background. If the collector is away, they are dropped, and nothing
 * else changes.
 */
export function openOtlpTracing(options: { service: string; endpoint: string; log: Logger }): Tracing {
  const { service, endpoint, log } = options;
  warnOfFailures(log);
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, "")}/v1/traces` });
  const provider = new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ "service.name": service })),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer("genga");
  // All times are the wall clock's: the library's own would mix it with a clock that runs apart from it.
  return {
    isOn: true,
    start: (name, { parent, kind, attributes = {}, at }: SpanStart): TraceSpan => {
      const span = tracer.startSpan(
        name,
        {
          ...(kind !== undefined && { kind: kinds[kind] }),
          startTime: at ?? new Date(),
          attributes: { ...attributes },
        },
        contextOf(parent),
      );
      const { traceId, spanId, traceFlags } = span.spanContext();
      return {
        traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`,
        end: ({ attributes: more, error } = {}) => {
          if (more !== undefined) span.setAttributes({ ...more });
          if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
          span.end(new Date());
        },
      };
    },
    close: async () => {
      await pTimeout(
        provider.shutdown().catch(() => undefined),
        {
          milliseconds: closeWithinMs,
          fallback: () => undefined,
        },
      );
    },
  };
}

function contextOf(parent: string | null): typeof ROOT_CONTEXT {
  const [, traceId, spanId, flags] = parent?.split("-") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const traceFlags = Number.parseInt(flags, 16) & 1;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

function warnOfFailures(log: Logger): void {
  let warnedAt = Number.NEGATIVE_INFINITY;
  const warn = (message: string): void => {
    if (performance.now() - warnedAt < warnEveryMs) return;
    warnedAt = performance.now();
    log.warn({ reason: message.slice(0, 500) }, "traces could not be sent to the collector and are dropped");
  };
  const ignore = (): void => undefined;
  diag.setLogger(
    { error: warn, warn: ignore, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
}
