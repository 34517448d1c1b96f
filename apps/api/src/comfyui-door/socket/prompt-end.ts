import { isObject, parsePythonJson, rawMembers } from "@genga/comfyui";
import { type Outgoing } from "./outgoing.ts";

/** The recorded end of a prompt, as its client is told of it. */
export interface PromptEnd {
  attempt: number;
  /** What each node returned, as JSON text, with the names of files that the client knows. */
  outputs: ReadonlyMap<string, string>;
  displayNodeOf: (node: string) => string;
  /** The messages that begin a prompt. */
  beginning: Outgoing[];
  /** The message that says how it ended. */
  ending: Outgoing[];
}

/** How a server says that a prompt has ended. */
const endings: ReadonlySet<string> = new Set([
  "execution_success",
  "execution_error",
  "execution_interrupted",
]);

/**
 * Reads an entry as `GET /history` shows it: its `status.messages` have all that the server said of begin and end (PROTOCOL 5).
 * @param entry JSON text with `outputs`, `status` and `meta`
 */
export function promptEndOf(entry: string, attempt: number): PromptEnd {
  const members = rawMembers(entry);
  const outputs = rawMembers(members.get("outputs") ?? "{}");
  const meta = parsePythonJson(members.get("meta") ?? "{}");
  const messages = messagesIn(members.get("status") ?? "null");
  return {
    ...{ attempt, outputs },
    displayNodeOf: (node) => displayNodeIn(meta, node),
    beginning: messages.filter((message) => !endings.has(message.type)),
    ending: messages.filter((message) => endings.has(message.type)),
  };
}

function messagesIn(rawStatus: string): Extract<Outgoing, { kind: "text" }>[] {
  const status = parsePythonJson(rawStatus);
  const messages = isObject(status) && Array.isArray(status["messages"]) ? status["messages"] : [];
  return messages.flatMap((message: unknown) => {
    if (!Array.isArray(message) || typeof message[0] !== "string") return [];
    const [type, data] = message as [string, unknown];
    return [{ kind: "text" as const, type, json: JSON.stringify({ type, data }) }];
  });
}

function displayNodeIn(meta: unknown, node: string): string {
  const about = isObject(meta) && Object.hasOwn(meta, node) ? meta[node] : undefined;
  return isObject(about) && typeof about["display_node"] === "string" ? about["display_node"] : node;
}
