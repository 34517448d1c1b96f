import { collectOutputs, rawElements, rawMembers, rewriteStrings, type SettledLookup } from "@genga/comfyui";
import { type DoorFileName, type DoorRun } from "@genga/jobs";
import { cutEntry } from "./cut-entry.ts";
import { type ToldRun } from "./door-relay.ts";
import { type NamedOutputs } from "./named-outputs.ts";
import { objectOf } from "./raw-objects.ts";

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
  const text = objectOf([
    ["outputs", named],
    ["status", shown(status)],
    ["meta", shown(objectOf(metaShown))],
  ]);
  const said = JSON.stringify(door.promptId);
  const told = text.replaceAll(`"${promptId}"`, () => said);
  return cutEntry(told);
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
