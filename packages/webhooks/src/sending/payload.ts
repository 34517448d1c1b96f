import { type DueDelivery, type Json } from "@genga/jobs";

/** Where the API's paths begin, after the base of links. */
const prefix = "/api/anime";

/**
 * The body that is sent: what happened, when, and links to everything else. It never contains a picture, a text of an output
 * or a prompt, and it is the same in all attempts.
 * @param publicUrl what links begin with; empty = they are paths. What a client took for this URL may not go to others.
 */
export function payloadOf(
  { type, occurredAt, facts }: Pick<DueDelivery, "type" | "occurredAt" | "facts">,
  publicUrl: string,
): string {
  const api = `${publicUrl}${prefix}`;
  const data = Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [name, withLinks(name, value, api)]),
  );
  return JSON.stringify({ type, timestamp: occurredAt.toISOString(), data });
}

function withLinks(name: string, value: Json, api: string): Json {
  if (!isObject(value)) return value;
  if (name === "batch") {
    const self = `${api}/batches/${textOf(value["id"])}`;
    return { ...value, ...timesOf(value), links: { self, jobs: `${api}/jobs?batch=${textOf(value["id"])}` } };
  }
  if (name !== "job") return value;
  const self = `${api}/jobs/${textOf(value["id"])}`;
  const batchId = value["batchId"];
  const outputs = Array.isArray(value["outputs"]) ? value["outputs"] : [];
  return {
    ...value,
    ...timesOf(value),
    outputs: outputs.map((output) =>
      isObject(output) ? { ...output, links: { content: `${api}/outputs/${textOf(output["id"])}` } } : output,
    ),
    links: {
      self,
      outputs: `${self}/outputs`,
      ...(typeof batchId === "string" && { batch: `${api}/batches/${batchId}` }),
    },
  };
}

/** Moments as the API writes them; PostgreSQL writes them with its own time zone. */
function timesOf(value: Record<string, Json>): Record<string, Json> {
  const times = ["createdAt", "startedAt"].flatMap((name): [string, Json][] => {
    const given = value[name];
    return typeof given === "string" ? [[name, new Date(given).toISOString()]] : [];
  });
  return Object.fromEntries(times);
}

function isObject(value: Json | undefined): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}
