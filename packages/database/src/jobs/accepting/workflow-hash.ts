import { createHash } from "node:crypto";

/**
 * The hash that identifies a graph: SHA-256 of its JSON text, lowercase hex. So 1.0 and 1 differ, and so do seeds that
 * JavaScript would round to the same number.
 */
export function hashWorkflow(workflow: string): string {
  return createHash("sha256").update(workflow).digest("hex");
}
