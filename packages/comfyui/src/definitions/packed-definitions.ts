import { withoutFileLists } from "../classes/file-lists.ts";
import { nodeReplacementsSchema } from "./node-replacements.ts";
import { nodeDefinitionSchema, type NodeDefinition, type ObjectInfo } from "../classes/object-info.ts";
import { parseJson } from "../wire/parse-json.ts";
import { type ServerDefinitions } from "./server-definitions.ts";

/**
 * Definitions in the form in which one thread hands them to another: the JSON texts of all classes, one after the
 * other, in a buffer that is moved and not copied. Receiving 4 to 5 MB takes a few milliseconds.
 */
export interface PackedDefinitions {
  names: string[];
  /** Where the text of each class ends in `texts`. */
  ends: Uint32Array<ArrayBuffer>;
  texts: Uint8Array<ArrayBuffer>;
  /** `/node_replacements` as JSON text; a few kilobytes. */
  replacements: string;
}

/** A server's definitions without its lists of files: as they are stored, and as texts to be packed. */
export interface ReadDefinitions {
  objectInfo: Readonly<Record<string, unknown>>;
  replacements: unknown;
}

/**
 * Reads a server's answers, which may contain bare `NaN` and `Infinity`. @throws Error it is no JSON, or no object of
 * classes
 * @param answers `replacements` null: the server has no such route
 */
export function readAnswers(answers: { objectInfo: string; replacements: string | null }): ReadDefinitions {
  return {
    objectInfo: withoutFileLists(asClasses(parseJson(answers.objectInfo, "GET /object_info"))),
    replacements:
      answers.replacements === null ? null : parseJson(answers.replacements, "GET /node_replacements"),
  };
}

/**
 * Reads stored definitions. Earlier versions stored lists of files with it. @throws Error it is no object of classes
 */
export function readStored(stored: { objectInfo: unknown; replacements: unknown }): ReadDefinitions {
  return {
    objectInfo: withoutFileLists(asClasses(stored.objectInfo)),
    replacements: stored.replacements,
  };
}

function asClasses(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError("GET /object_info: the answer is no object of node classes.");
  }
  return { ...value };
}

/** Python's NaN and Infinity become null, because `jsonb` cannot hold them. */
export function packDefinitions({ objectInfo, replacements }: ReadDefinitions): PackedDefinitions {
  const names = Object.keys(objectInfo);
  const texts = names.map((name) => Buffer.from(JSON.stringify(objectInfo[name] ?? null)));
  const ends = new Uint32Array(names.length);
  let end = 0;
  for (const [index, text] of texts.entries()) ends[index] = end += text.length;
  const bytes = new Uint8Array(end);
  for (const [index, text] of texts.entries()) bytes.set(text, (ends[index] ?? 0) - text.length);
  return { names, ends, texts: bytes, replacements: JSON.stringify(replacements ?? null) };
}

/** A class is parsed when it is first used: a graph names a few dozen of the thousands. */
export function unpackDefinitions(packed: PackedDefinitions): ServerDefinitions {
  const decoder = new TextDecoder();
  const objectInfo: ObjectInfo = {};
  for (const [index, name] of packed.names.entries()) {
    const from = index === 0 ? 0 : packed.ends[index - 1];
    const define = (property: PropertyDescriptor): void => {
      Object.defineProperty(objectInfo, name, { ...property, enumerable: true, configurable: true });
    };
    define({
      get: (): NodeDefinition => {
        const text = decoder.decode(packed.texts.subarray(from, packed.ends[index]));
        const value = nodeDefinitionSchema.parse(JSON.parse(text));
        define({ value });
        return value;
      },
    });
  }
  return { objectInfo, replacements: nodeReplacementsSchema.parse(JSON.parse(packed.replacements)) };
}
