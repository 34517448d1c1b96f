import { createHash } from "node:crypto";
import { type Workflow } from "@genga/jobs";

/** Names a graph by its content: SHA-256 (lowercase hex) of its canonical JSON, so that the order of keys is no matter. */
export function hashWorkflow(workflow: Workflow): string {
  return createHash("sha256").update(canonicalJson(workflow)).digest("hex");
}

/** JSON with sorted keys. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(",")}}`;
}
