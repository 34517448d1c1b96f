import { createHash, randomUUID } from "node:crypto";
import { fileKindOf, withoutFileLists, type InputSpec } from "@genga/comfyui";
import { type ServerStore } from "@genga/jobs";
import { Turns } from "@genga/workflows";
import { type KnownServers } from "../servers/known-servers.ts";
import { newestFirst } from "./server-version.ts";

/** Files that the tenant has given names to, by what reads them. */
export interface InputFile {
  path: string;
  mediaType: string;
}

type Dict = Record<string, unknown>;
/** What of a class's text stands before a list of files, and which files the list shows. */
interface TextPart {
  text: string;
  kind: FileListKind | undefined;
}
type FileListKind = "image" | "video" | "all" | "none";

interface Built {
  of: string;
  classes: ReadonlyMap<string, readonly TextPart[]>;
  replacements: string;
}

/** In the place of a list of files while the texts are made; no class of a server has this text. */
const listMark = `genga-files-${randomUUID()}:`;
const markShape = new RegExp(`"${listMark}(image|video|all|none)"`);

/**
 * `/object_info` of the whole farm: each class as the newest server has it, its lists of choices united with those of all other
 * servers, and its lists of files with the names that the tenant has given. It is built once for each change of the servers'
 * definitions; only the lists of files are put in for each request.
 */
export class ServedDefinitions {
  readonly #servers: Pick<KnownServers, "farm">;
  readonly #store: Pick<ServerStore, "findDefinitions">;
  #built: { of: string; built: Promise<Built> } | undefined;

  constructor(parts: { servers: Pick<KnownServers, "farm">; store: Pick<ServerStore, "findDefinitions"> }) {
    this.#servers = parts.servers;
    this.#store = parts.store;
  }

  /** All classes, or one; `{}` for an unknown one. @throws StoreUnavailableError */
  async objectInfo(files: readonly InputFile[], classType?: string): Promise<{ json: string; etag: string }> {
    const { of, classes } = await this.#latest();
    const lists = listsOf(files);
    const names = classType === undefined ? [...classes.keys()] : classes.has(classType) ? [classType] : [];
    const texts = names.map((name) => `${JSON.stringify(name)}:${textOf(classes.get(name) ?? [], lists)}`);
    const tag = createHash("sha256")
      .update(JSON.stringify([of, lists, classType ?? null]))
      .digest("base64url");
    return { json: `{${texts.join(",")}}`, etag: `"${tag}"` };
  }

  /** `/node_replacements` of the newest server, as JSON text. */
  async replacements(): Promise<string> {
    return (await this.#latest()).replacements;
  }

  /** The version of the newest server; `null` = no server is known. */
  async version(): Promise<string | null> {
    return (await this.#sorted())[0]?.version ?? null;
  }

  async #sorted(): Promise<{ version: string | null; hash: string }[]> {
    const { servers } = await this.#servers.farm();
    const known = servers.flatMap(({ definitionsHash: hash, version, state }) =>
      hash === null || state === "retired" ? [] : [{ version, hash }],
    );
    known.sort((one, other) => newestFirst(one.version, other.version) || (one.hash < other.hash ? -1 : 1));
    return [...new Map(known.toReversed().map((each) => [each.hash, each])).values()].toReversed();
  }

  async #latest(): Promise<Built> {
    const sorted = await this.#sorted();
    const of = sorted.map(({ hash }) => hash).join();
    if (this.#built?.of !== of) {
      const built = this.#build(of, sorted);
      this.#built = { of, built };
      // A failed reading rejects for everybody who waits for it, and is not reused.
      built.catch(() => {
        if (this.#built?.built === built) this.#built = undefined;
      });
    }
    return await this.#built.built;
  }

  async #build(of: string, sorted: readonly { hash: string }[]): Promise<Built> {
    const classes: Dict = {};
    let replacements: unknown;
    // Of some megabytes this takes longer than other requests may wait.
    const turns = new Turns();
    for (const { hash } of sorted) {
      const stored = await this.#store.findDefinitions(hash);
      if (stored === null || !isDict(stored.objectInfo)) continue;
      replacements ??= stored.replacements ?? undefined;
      for (const [name, definition] of Object.entries(withoutFileLists(stored.objectInfo))) {
        if (turns.isOver) await turns.next();
        if (Object.hasOwn(classes, name)) uniteLists(classes[name], definition);
        else classes[name] = definition;
      }
    }
    const texts = new Map<string, TextPart[]>();
    for (const [name, definition] of Object.entries(classes)) {
      if (turns.isOver) await turns.next();
      texts.set(name, partsOf(JSON.stringify(withMarks(name, definition))));
    }
    return { of, classes: texts, replacements: JSON.stringify(replacements ?? {}) };
  }
}

/** Adds the choices that another server has for the same inputs. */
function uniteLists(own: unknown, other: unknown): void {
  for (const group of ["required", "optional"]) {
    const [ofOwn, ofOther] = [groupOf(own, group), groupOf(other, group)];
    for (const [name, spec] of Object.entries(ofOwn)) {
      const [list, more] = [choicesOf(spec), choicesOf(ofOther[name])];
      if (list === undefined || more === undefined) continue;
      const known = new Set(list.map((choice) => JSON.stringify(choice)));
      list.push(...more.filter((choice) => !known.has(JSON.stringify(choice))));
    }
  }
}

function groupOf(definition: unknown, group: string): Dict {
  const input = isDict(definition) ? definition["input"] : undefined;
  const inputs = isDict(input) ? input[group] : undefined;
  return isDict(inputs) ? inputs : {};
}

function choicesOf(spec: unknown): unknown[] | undefined {
  if (!Array.isArray(spec)) return undefined;
  const [type, options] = spec as unknown[];
  if (Array.isArray(type)) return type as unknown[];
  const listed = type === "COMBO" && isDict(options) ? options["options"] : undefined;
  return Array.isArray(listed) ? (listed as unknown[]) : undefined;
}

/** Puts marks where lists of files were, which Genga does not keep; the first shape of lists, which all clients read. */
function withMarks(classType: string, definition: unknown): unknown {
  if (!isDict(definition) || !isDict(definition["input"])) return definition;
  const input = { ...definition["input"] };
  for (const group of ["required", "optional"]) {
    if (!isDict(input[group])) continue;
    input[group] = Object.fromEntries(
      Object.entries(input[group]).map(([name, spec]) => [name, marked(classType, name, spec)]),
    );
  }
  return { ...definition, input };
}

function marked(classType: string, name: string, spec: unknown): unknown {
  const options: unknown = Array.isArray(spec) ? spec[1] : undefined;
  if (!isDict(options) || options["files_on_server"] !== true) return spec;
  const others = Object.fromEntries(Object.entries(options).filter(([name]) => name !== "files_on_server"));
  // Clients ask for this list elsewhere.
  if (isDict(options["remote"])) return ["COMBO", others];
  const kind = fileKindOf(classType, name, spec as InputSpec);
  const list: FileListKind =
    kind === "image" || kind === "video" ? kind : kind === undefined ? "all" : "none";
  return [`${listMark}${list}`, others];
}

function partsOf(text: string): TextPart[] {
  const pieces = text.split(markShape);
  const parts: TextPart[] = [];
  for (let at = 0; at < pieces.length; at += 2)
    parts.push({ text: pieces[at] ?? "", kind: pieces[at + 1] as FileListKind | undefined });
  return parts;
}

function textOf(parts: readonly TextPart[], lists: Record<FileListKind, string>): string {
  return parts.map(({ text, kind }) => text + (kind === undefined ? "" : lists[kind])).join("");
}

function listsOf(files: readonly InputFile[]): Record<FileListKind, string> {
  const named = (kind: RegExp): string =>
    JSON.stringify(files.filter(({ mediaType }) => kind.test(mediaType)).map(({ path }) => path));
  return { image: named(/^image\//), video: named(/^video\/|^image\/gif$/), all: named(/^/), none: "[]" };
}

function isDict(value: unknown): value is Dict {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
