import { rawElements, rawMembers, rewriteStrings } from "@genga/comfyui";
import { objectOf } from "./raw-objects.ts";

/** As the database checks it. */
const entryBytesMax = 1024 * 1024;
/** Longer texts are cut. */
const textMax = 2_000;
/** What may remain of each part if that is not enough. With an outline of the status they are less than an entry may have as well. */
const partBytesMax = { outputs: 400 * 1024, status: 400 * 1024, meta: 100 * 1024 };
/**
 * Of an object of which only an outline is kept: as many members as a server's error has, and a little more; and so long that each has
 * room for a text.
 */
const outline = { membersMax: 12, valueBytesMax: 12_100, memberBytesMax: 12_500 };

/**
 * An entry in at most 1 MiB. First long texts are cut; whole texts of nodes remain among the job's outputs. If that is not enough, the
 * largest values that nodes returned are left out, so that the names of files remain; and all of the server's messages but the first and
 * the last one, which says how the prompt ended, without what is long in them.
 * @param entry `{outputs, status, meta}` as JSON text
 */
export function cutEntry(entry: string): string {
  if (isWithin(entryBytesMax, entry)) return entry;
  const shorter = rewriteStrings(entry, (text) =>
    text.length > textMax ? `${text.slice(0, textMax)}…` : text,
  );
  if (isWithin(entryBytesMax, shorter)) return shorter;
  const { outputs = "{}", status = "null", meta = "{}" } = Object.fromEntries(rawMembers(shorter));
  return objectOf([
    ["outputs", isWithin(partBytesMax.outputs, outputs) ? outputs : smallestOf(outputs)],
    ["status", isWithin(partBytesMax.status, status) ? status : outlineOfStatus(status)],
    ["meta", isWithin(partBytesMax.meta, meta) ? meta : "{}"],
  ]);
}

/** As many values of nodes as may remain, the smallest ones. */
function smallestOf(outputs: string): string {
  const nodes = membersOf(outputs).map(([nodeId, node]) => ({
    nodeId,
    values: membersOf(node).map((value) => ({
      value,
      bytes: bytesOf(objectOf([[nodeId, objectOf([value])]])),
    })),
  }));
  let left = partBytesMax.outputs;
  const kept = new Set<object>();
  for (const each of nodes
    .flatMap(({ values }) => values)
    .toSorted((one, other) => one.bytes - other.bytes)) {
    left -= each.bytes;
    if (left < 0) break;
    kept.add(each);
  }
  return objectOf(
    nodes.flatMap(({ nodeId, values }) => {
      const some = values.filter((each) => kept.has(each)).map(({ value }) => value);
      return some.length === 0 ? [] : [[nodeId, objectOf(some)] as const];
    }),
  );
}

function outlineOfStatus(status: string): string {
  const messages = elementsOf(new Map(membersOf(status)).get("messages") ?? "[]");
  const ends = [...messages.slice(0, 1), ...messages.slice(1).slice(-1)].map((message) => {
    const [type = '""', data = "{}"] = elementsOf(message);
    return `[${type.startsWith('"') ? type : '""'},${objectOf(outlineOf(data))}]`;
  });
  const others = outlineOf(status).filter(([name]) => name !== "messages");
  return objectOf([...others, ["messages", `[${ends.join()}]`]]);
}

/** The first members of an object. What is too long is empty, and stays a list, an object or a text. */
function outlineOf(text: string): [string, string][] {
  return membersOf(text)
    .slice(0, outline.membersMax)
    .map(([name, value]): [string, string] => [name, shortValue(value)])
    .filter((member) => isWithin(outline.memberBytesMax, objectOf([member])));
}

function shortValue(value: string): string {
  if (isWithin(outline.valueBytesMax, value)) return value;
  return value.startsWith("[") ? "[]" : value.startsWith("{") ? "{}" : '""';
}

function membersOf(text: string): [string, string][] {
  return text.startsWith("{") ? [...rawMembers(text)] : [];
}

function elementsOf(text: string): string[] {
  return text.startsWith("[") ? rawElements(text) : [];
}

function isWithin(bytesMax: number, text: string): boolean {
  return bytesOf(text) <= bytesMax;
}

function bytesOf(text: string): number {
  return Buffer.byteLength(text);
}
