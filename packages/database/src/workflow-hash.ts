import { createHash } from "node:crypto";
import { type Workflow } from "@genga/jobs";

/** Names a graph by its content: SHA-256 (lowercase hex) of its canonical JSON, so that the order of keys is no matter. */
export function hashWorkflow(workflow: Workflow): string {
  return createHash("sha256").update(canonicalJson(workflow)).digest("hex");
}

/** JSON with sorted keys. Plain loops: ten thousand graphs are hashed in one go. */
function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  let json = "";
  if (Array.isArray(value)) {
    for (const item of value) json += `${json === "" ? "" : ","}${canonicalJson(item)}`;
    return `[${json}]`;
  }
  const members = value as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(members).sort()) {
    if (members[key] === undefined) continue;
    json += `${json === "" ? "" : ","}${JSON.stringify(key)}:${canonicalJson(members[key])}`;
  }
  return `{${json}}`;
}
