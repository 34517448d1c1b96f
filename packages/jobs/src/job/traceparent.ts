/**
 * A place in a distributed trace, as the header `traceparent` of the W3C has it: version, id of the trace, id of the parent
 * span, flags. Later versions may have more parts behind these.
 */
const pattern =
  /^(?!ff)(?<version>[0-9a-f]{2})-(?<known>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?<more>-.*)?$/;
const lengthMax = 200;

/** The header in version 00; `null` = there is none, or it is not well-formed, and then it counts as absent. */
export function readTraceparent(header: unknown): string | null {
  if (typeof header !== "string" || header.length > lengthMax) return null;
  const { version, known, more } = pattern.exec(header)?.groups ?? {};
  if (known === undefined || (version === "00" && more !== undefined)) return null;
  return `00-${known}`;
}

/** The id of the trace, by which a tracing system finds it. */
export function traceIdOf(traceparent: string | null): string | null {
  return traceparent === null ? null : (traceparent.split("-")[1] ?? null);
}
