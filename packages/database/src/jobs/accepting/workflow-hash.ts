import { createHash } from "node:crypto";

/** Names a graph by its JSON text: SHA-256, lowercase hex. Every digit counts: 1.0 is not 1, and no seed is another. */
export function hashWorkflow(workflow: string): string {
  return createHash("sha256").update(workflow).digest("hex");
}
