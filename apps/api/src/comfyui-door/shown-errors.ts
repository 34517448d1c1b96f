import { rawElements, rawMembers, rewriteStrings } from "@genga/comfyui";
import { type Sight } from "../access/sight.ts";

type Shows = Pick<Sight, "text">;

/** Members of an `execution_error` that nodes and libraries write; they may quote the address of their server. */
const writtenMembers = ["exception_message", "traceback"];

/**
 * An entry of a server's history in which the errors show no address of a server.
 * @param entry `{outputs, status, meta}` as JSON text
 */
export function withShownErrors(entry: string, sight: Shows): string {
  const members = rawMembers(entry);
  const rawStatus = members.get("status");
  if (rawStatus?.startsWith("{") !== true) return entry;
  const status = rawMembers(rawStatus);
  const messages = status.get("messages");
  if (messages?.startsWith("[") !== true) return entry;
  const shown = rawElements(messages).map((message) => {
    const [type, data] = message.startsWith("[") ? rawElements(message) : [];
    return type === '"execution_error"' && data?.startsWith("{") === true
      ? `[${type},${shownData(data, sight)}]`
      : message;
  });
  return rawObject(members.set("status", rawObject(status.set("messages", `[${shown.join()}]`))));
}

/** The same for the message of a socket, `{type: "execution_error", data}`. */
export function shownError(message: string, sight: Shows): string {
  const members = rawMembers(message);
  const data = members.get("data");
  return data?.startsWith("{") === true ? rawObject(members.set("data", shownData(data, sight))) : message;
}

function shownData(data: string, sight: Shows): string {
  const members = rawMembers(data);
  for (const name of writtenMembers) {
    const written = members.get(name);
    if (written !== undefined)
      members.set(
        name,
        rewriteStrings(written, (text) => sight.text(text)),
      );
  }
  return rawObject(members);
}

/** An object of members that are JSON texts. */
export function rawObject(members: ReadonlyMap<string, string>): string {
  return `{${[...members].map(([name, raw]) => `${JSON.stringify(name)}:${raw}`).join()}}`;
}
