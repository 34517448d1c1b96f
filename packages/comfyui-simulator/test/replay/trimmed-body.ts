import { isDict, type PythonDict, type PythonValue } from "../../src/python/python-values.ts";

/**
 * Shortens a reply the way the recorder shortened the recorded one, so that the two can be compared. The recorder kept
 * some fields and left the others out; a few forms are its own digest of a reply.
 * @param nameOf what a recorded key, such as a prompt's id, is in the replay
 */
export function trimmedLike(
  recorded: PythonValue,
  actual: PythonValue,
  nameOf: (key: string) => string = (key) => key,
): PythonValue {
  if (Array.isArray(recorded) && Array.isArray(actual)) {
    return actual.map((item, index) => trimmedLike(recorded[index] ?? null, item, nameOf));
  }
  if (!isDict(recorded) || !isDict(actual)) return actual;
  for (const [key, digest] of digests) if (recorded.has(key)) return digest(actual, recorded);
  return new Map(
    [...recorded].map(([key, value]): [string, PythonValue] => {
      const name = nameOf(key);
      const found = actual.get(name);
      return [name, found === undefined ? "<missing>" : trimmedEntry(key, value, found, nameOf)];
    }),
  );
}

/** Digests of whole replies, by the key that shows which one it is. */
const digests: readonly [string, (actual: PythonDict, recorded: PythonDict) => PythonValue][] = [
  ["(trimmed)", (actual) => new Map<string, PythonValue>([["keys", [...actual.keys()]]])],
  ["(keys in order)", (actual) => new Map([["(keys in order)", [...actual.keys()]]])],
  ["count", (actual) => new Map([["count", jobsOf(actual)?.length ?? actual.size]])],
  [
    "ids+status",
    (actual) =>
      new Map<string, PythonValue>([
        ["ids+status", (jobsOf(actual) ?? []).filter(isDict).map((job) => fieldsOf(job, "id", "status"))],
        ["pagination", actual.get("pagination") ?? null],
      ]),
  ],
];

function trimmedEntry(
  key: string,
  recorded: PythonValue,
  actual: PythonValue,
  nameOf: (key: string) => string,
): PythonValue {
  if (key === "queue_running" || key === "queue_pending") {
    if (typeof recorded === "number") return Array.isArray(actual) ? actual.length : actual;
    return Array.isArray(actual)
      ? actual.map((item) => (Array.isArray(item) ? item.slice(0, 2) : item))
      : actual;
  }
  if (isDict(actual) && Array.isArray(actual.get("prompt"))) return historyDigest(recorded, actual);
  return trimmedLike(recorded, actual, nameOf);
}

/** A history entry as the recorder summed it up, in as many of these fields as it did. */
function historyDigest(recorded: PythonValue, entry: PythonDict): PythonValue {
  const status = entry.get("status") ?? null;
  const statusText = isDict(status) ? (status.get("status_str") ?? null) : null;
  if (!isDict(recorded)) return statusText;
  const prompt = entry.get("prompt") ?? null;
  const messages = isDict(status) ? status.get("messages") : undefined;
  const list = Array.isArray(messages) ? messages : [];
  const fields = new Map<string, PythonValue>([
    ["(trimmed to)", recorded.get("(trimmed to)") ?? null],
    ["number", Array.isArray(prompt) ? (prompt[0] ?? null) : null],
    ["graph", Array.isArray(prompt) ? (prompt[2] ?? null) : null],
    ["extra_data", Array.isArray(prompt) ? (prompt[3] ?? null) : null],
    ["outputs_to_execute", Array.isArray(prompt) ? (prompt[4] ?? null) : null],
    ["outputs", entry.get("outputs") ?? null],
    ["meta", entry.get("meta") ?? null],
    ["status_str", statusText],
    ["kinds", list.map((message) => (Array.isArray(message) ? (message[0] ?? null) : null))],
    ["last", lastMessage(recorded.get("last") ?? null, list.at(-1) ?? null)],
  ]);
  return new Map([...recorded.keys()].map((key) => [key, fields.get(key) ?? entry.get(key) ?? null]));
}

/** The last message: its kind and some of its data, or only the latter. */
function lastMessage(recorded: PythonValue, message: PythonValue): PythonValue {
  const data = Array.isArray(message) ? (message[1] ?? null) : null;
  return trimmedLike(recorded, isDict(recorded) ? data : message);
}

function jobsOf(reply: PythonDict): PythonValue[] | undefined {
  const jobs = reply.get("jobs");
  return Array.isArray(jobs) ? jobs : undefined;
}

function fieldsOf(dict: PythonDict, ...keys: string[]): PythonValue[] {
  return keys.map((key) => dict.get(key) ?? null);
}
