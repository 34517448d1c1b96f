/** A piece of work in a trace. */
export interface TraceSpan {
  /** Its place in the trace, as the parent of other spans; `null` = nothing is traced, and there was no parent either. */
  readonly traceparent: string | null;
  /** Ends it, once. @param error why the work failed */
  end(result?: { attributes?: TraceAttributes; error?: string }): void;
}

type TraceAttributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanStart {
  /** As the header `traceparent` has it, in version 00; `null` = a new trace begins here. */
  parent: string | null;
  /** Whether the work answers a request, or takes up something that was queued. */
  kind?: "server" | "consumer";
  attributes?: TraceAttributes;
  /** When the work began. Absent = now. */
  at?: Date;
}

/** Tells a collector of traces what this process does. */
export interface Tracing {
  /** Whether anything is told. */
  readonly isOn: boolean;
  start(name: string, start: SpanStart): TraceSpan;
  /** Sends what was not sent yet, for a short time at most. */
  close(): Promise<void>;
}

/** Nothing is traced; the places of requests in their clients' traces are passed on. */
export const noTracing: Tracing = {
  isOn: false,
  start: (_name, { parent }) => ({ traceparent: parent, end: () => undefined }),
  close: () => Promise.resolve(),
};
