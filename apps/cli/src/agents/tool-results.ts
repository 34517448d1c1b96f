import { GengaError } from "@genga/client";
import { type CallToolResult } from "@modelcontextprotocol/sdk/types.js";

/** What an agent reads: JSON as a text. */
export function factsResult(value: unknown): CallToolResult {
  return { content: [{ type: "text", text: JSON.stringify(value, null, 1) }] };
}

/**
 * A refusal is a result that says so, with the fields that are wrong, so that the agent can mend its request.
 * @throws what is neither a refusal nor the end of a time
 */
export async function answered(work: () => Promise<CallToolResult>): Promise<CallToolResult> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof GengaError)) throw error;
    const fields = error.problems.map(({ path, message }) => `\n${path}: ${message}`).join("");
    return { isError: true, content: [{ type: "text", text: `${error.code}: ${error.message}${fields}` }] };
  }
}
