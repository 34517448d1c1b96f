import { collectOutputs, rawElements, rawMembers, rewriteStrings, type SettledLookup } from "@genga/comfyui";
import { type DoorFileName, type DoorRun } from "@genga/jobs";
import { type ToldRun } from "./door-relay.ts";
import { type NamedOutputs } from "./named-outputs.ts";

/** As the database checks it. */
const entryBytesMax = 1024 * 1024;
/** Of an entry that would be too large, longer texts are cut. */
const textMax = 2_000;
/** Of a status that is still too large: how long a value within a message may be, as JSON text, and how many a message may have. */
const valueMax = 6 * textMax;
const valuesMax = 20;

/**
 * What the server's history says of an ended prompt, without its graph: `{outputs, status, meta}` as the server wrote it, with the
 * names of prompt and files that its client knows. Of a prompt without a result, files are left out, because they are not stored;
 * and a server has nothing in its history of pictures that went to a socket.
 * @returns `undefined` = the server says nothing
 */
export function doorEntryOf(
  run: ToldRun,
  door: Pick<DoorRun, "promptId" | "socketNodes">,
  lookup: SettledLookup,
  names: Pick<NamedOutputs, "find">,
): string | undefined {
  if (!("history" in lookup) || lookup.history.reply === undefined) return undefined;
  const { promptId } = run.leased;
  const entry = rawMembers(lookup.history.reply).get(promptId);
  if (entry === undefined) return undefined;
  const { outputs, status = "null", meta = "{}" } = Object.fromEntries(rawMembers(entry));
  const left = new Set(door.socketNodes);
  if (lookup.state !== "finished")
    for (const { kind, nodeId } of collectOutputs(lookup.history.outputs))
      if (kind === "file") left.add(nodeId);
  const nodes = [...rawMembers(outputs ?? "{}")].filter(([nodeId]) => !left.has(nodeId));
  const shown = (text: string): string => rewriteStrings(text, (plain) => run.shownEntryText(plain));
  const named = objectOf(
    nodes.map(([nodeId, node]) => [
      nodeId,
      namedNode(node, shown, (key, index) => names.find(nodeId, key, index)),
    ]),
  );
  const metaShown = [...rawMembers(meta)].filter(([nodeId]) => !door.socketNodes.includes(nodeId));
  const text = textOf(named, shown(status), shown(objectOf(metaShown)));
  const said = JSON.stringify(door.promptId);
  const told = text.replaceAll(`"${promptId}"`, () => said);
  return isSmall(told) ? told : cut(told);
}

/** What a node returned, with the client's names of its files. */
function namedNode(
  node: string,
  shown: (text: string) => string,
  nameOf: (key: string, index: number) => DoorFileName | undefined,
): string {
  if (!node.startsWith("{")) return shown(node);
  return objectOf(
    [...rawMembers(node)].map(([key, value]) => {
      if (!value.startsWith("[")) return [key, shown(value)];
      const elements = rawElements(value).map((element, index) => {
        const name = nameOf(key, index);
        return name === undefined ? shown(element) : namedElement(element, shown, name);
      });
      return [key, `[${elements.join()}]`];
    }),
  );
}

/** Nodes name a file in an object, or in a text that is the path below the output folder. */
function namedElement(
  element: string,
  shown: (text: string) => string,
  { name: filename, subfolder, type }: DoorFileName,
): string {
  if (!element.startsWith("{"))
    return JSON.stringify([subfolder, filename].filter((part) => part !== "").join("/"));
  const names = new Map(Object.entries({ filename, subfolder, type }));
  return objectOf(
    [...rawMembers(element)].map(([key, value]) => {
      const own = names.get(key);
      return [key, own === undefined ? shown(value) : JSON.stringify(own)];
    }),
  );
}

function objectOf(members: readonly (readonly [string, string])[]): string {
  return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join()}}`;
}

function textOf(outputs: string, status: string, meta: string): string {
  return `{"outputs":${outputs},"status":${status},"meta":${meta}}`;
}

/** Whole texts of nodes remain among the job's outputs. */
function cut(entry: string): string {
  const shorter = rewriteStrings(entry, (text) =>
    text.length > textMax ? `${text.slice(0, textMax)}…` : text,
  );
  if (isSmall(shorter)) return shorter;
  const status = rawMembers(shorter).get("status") ?? "null";
  const withStatus = textOf("{}", status, "{}");
  return isSmall(withStatus) ? withStatus : textOf("{}", withFewMessages(status), "{}");
}

/** Of the messages only the first and the last, which says how the prompt ended: without it, its client would not hear that. */
function withFewMessages(status: string): string {
  if (!status.startsWith("{")) return "null";
  const members = rawMembers(status);
  const messages = rawElements(members.get("messages") ?? "[]");
  const few = messages.length > 1 ? [...messages.slice(0, 1), ...messages.slice(-1)] : messages;
  members.set("messages", `[${few.map(shortMessage).join()}]`);
  return objectOf([...members].map(([key, value]) => [key, key === "messages" ? value : shortValue(value)]));
}

/** A message of a server's history, `[type, data]`. */
function shortMessage(message: string): string {
  const [type = "null", data = "null"] = rawElements(message);
  if (!data.startsWith("{")) return `[${type},${shortValue(data)}]`;
  const values = [...rawMembers(data)].slice(0, valuesMax);
  return `[${type},${objectOf(values.map(([key, value]) => [key, shortValue(value)]))}]`;
}

/** What is too long is empty, and stays a list, an object or a text. */
function shortValue(value: string): string {
  if (value.length <= valueMax) return value;
  return value.startsWith("[") ? "[]" : value.startsWith("{") ? "{}" : '""';
}

function isSmall(text: string): boolean {
  return Buffer.byteLength(text) <= entryBytesMax;
}
