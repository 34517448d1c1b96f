import { isDict, PythonFloat, type PythonValue } from "../../src/python/python-values.ts";

/** What is the same in a recording and its replay although it is written differently: ids, counters, file names. */
export class Translation {
  /** Recorded text → the text it has in the replay. */
  readonly #texts = new Map<string, string>();
  #pattern: RegExp | undefined;
  #numberOffset: number | undefined;
  readonly #numbers = new Map<number, number>();
  readonly #givenNumbers = new Set<number>();

  /** @param isFirstWord keeps what was learnt before */
  learnText(recorded: string, actual: string, isFirstWord = false): void {
    if (recorded === "" || (isFirstWord && this.#texts.has(recorded))) return;
    this.#texts.set(recorded, actual);
    this.#pattern = undefined;
  }

  /** @param isOwn the server's numbers are no counter, so that one says nothing about the others */
  learnNumber(recorded: PythonValue, actual: PythonValue, isOwn = false): void {
    if (typeof recorded !== "number" || typeof actual !== "number") return;
    if (isOwn && !this.#givenNumbers.has(recorded)) this.#numbers.set(recorded, actual);
    else this.#numberOffset ??= recorded - actual;
  }

  /** After requests were left out, the server's counter stands elsewhere. */
  forgetNumbers(): void {
    this.#numberOffset = undefined;
  }

  /** A number that the client chose itself is the same in both. */
  learnGivenNumber(value: PythonValue | undefined): void {
    const number = value instanceof PythonFloat ? value.value : Number(value);
    if (Number.isFinite(number)) this.#givenNumbers.add(number);
  }

  /** A recorded text as it should appear in the replay. */
  text(recorded: string): string {
    if (this.#texts.size === 0) return recorded;
    // All at once: what replaces one name may itself be the recorded name of another file.
    this.#pattern ??= new RegExp(
      [...this.#texts.keys()]
        .sort((a, b) => b.length - a.length)
        .map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
        .join("|"),
      "g",
    );
    return recorded.replace(this.#pattern, (found) => this.#texts.get(found) ?? found);
  }

  /** A recorded queue number as it should appear in the replay. */
  number(recorded: number): number {
    if (this.#givenNumbers.has(recorded)) return recorded;
    const known = this.#numbers.get(recorded);
    if (known !== undefined) return known;
    const offset = this.#numberOffset ?? 0;
    return recorded < 0 ? recorded + offset : recorded - offset;
  }

  /** Learns the file names of two lists of outputs that belong together. */
  learnFiles(recorded: PythonValue, actual: PythonValue, isFirstWord = false): void {
    if (Array.isArray(recorded) && Array.isArray(actual)) {
      recorded.forEach((item, index) => {
        this.learnFiles(item, actual[index] ?? null, isFirstWord);
      });
    } else if (isDict(recorded) && isDict(actual)) {
      for (const key of ["filename", "workflow", "fullpath"]) {
        const [from, to] = [recorded.get(key), actual.get(key)];
        if (typeof from === "string" && typeof to === "string") this.learnText(from, to, isFirstWord);
      }
      for (const [key, value] of recorded) this.learnFiles(value, actual.get(key) ?? null, isFirstWord);
    }
  }
}

/** Lists whose order means nothing (they were Python sets). */
const unorderedLists = new Set([
  "executed",
  "current_outputs",
  "outputs_to_execute",
  "dependent_outputs",
  "errors",
  "nodes",
]);

/** Fields whose presence counts and whose content cannot be the same. */
const freeFields = new Set([
  "timestamp",
  "create_time",
  "execution_start_time",
  "execution_end_time",
  "installed",
  "traceback",
  "fullpath",
  "ram_total",
  "ram_free",
  "vram_total",
  "vram_free",
  "torch_vram_total",
  "torch_vram_free",
  "python_version",
  "pytorch_version",
  "argv",
  "installed_templates_version",
]);

/** Left out of the definitions that were kept, and so out of what they are part of. */
const fieldsLeftOut = new Set(["tooltip"]);

/**
 * A value in a form that two runs can be compared in: floats marked as such, free fields replaced, inputs of a failed
 * node reduced to their names. @param translate applied to recorded values only
 */
export function canonical(value: PythonValue, translate?: Translation, key = ""): unknown {
  if (freeFields.has(key)) return `<${key}>`;
  if (value instanceof PythonFloat)
    return { float: Number.isFinite(value.value) ? value.value : String(value.value) };
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number" && (key === "number" || key === "priority"))
    return translate ? translate.number(value) : value;
  if (typeof value === "string") {
    const text = canonicalText(translate ? translate.text(value) : value);
    return key === "details" ? text.split("\n").sort().join("\n") : text;
  }
  if (Array.isArray(value)) {
    const keys = isQueueEntry(value)
      ? ["number", "", "", "", "outputs_to_execute"]
      : isShortEntry(value)
        ? ["number"]
        : [];
    const items = value.map((item, index) => canonical(item, translate, keys[index]));
    return unorderedLists.has(key) ? sorted(items) : items;
  }
  if (isDict(value)) {
    if (key === "current_inputs") return [...value.keys()];
    return Object.fromEntries(
      [...value]
        .filter(([name]) => !fieldsLeftOut.has(name))
        .map(([name, item]) => [translate ? translate.text(name) : name, canonical(item, translate, name)]),
    );
  }
  return value;
}

function sorted(items: unknown[]): unknown[] {
  return [...items].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function isQueueEntry(list: PythonValue[]): boolean {
  return list.length === 5 && typeof list[1] === "string" && Array.isArray(list[4]);
}

/** A queue entry of which only number and id were kept. */
function isShortEntry(list: PythonValue[]): boolean {
  return (
    list.length === 2 && typeof list[0] === "number" && typeof list[1] === "string" && list[1].length === 36
  );
}

/** Sizes, addresses and folders differ between machines. */
function canonicalText(text: string): string {
  return text
    .replace(/0x[0-9a-f]+/g, "0x")
    .replace(/^[0-9a-f]{32}$/, "<hex>")
    .replace(/(full_output_folder|output_dir|commonpath): .*/g, "$1: <path>");
}

/** Whether the replay's value agrees with the recorded one; `"..."` and `"(...)"` stand for anything. */
export function difference(recorded: unknown, actual: unknown, path = ""): string | undefined {
  if (isWildcard(recorded)) return undefined;
  if (Array.isArray(recorded) && Array.isArray(actual)) {
    if (recorded.some((item) => typeof item === "string" && item.startsWith("("))) return undefined;
    if (recorded.length !== actual.length) return `${path}: ${show(recorded)} became ${show(actual)}`;
    return first(recorded.map((item, index) => difference(item, actual[index], `${path}[${index}]`)));
  }
  if (isObject(recorded) && isObject(actual)) {
    if ("(trimmed)" in recorded) return undefined;
    const [from, to] = [Object.keys(recorded).sort(), Object.keys(actual).sort()];
    if (from.join() !== to.join()) return `${path}: keys ${from.join()} became ${to.join()}`;
    return first(from.map((key) => difference(recorded[key], actual[key], `${path}.${key}`)));
  }
  return recorded === actual ? undefined : `${path}: ${show(recorded)} became ${show(actual)}`;
}

function isWildcard(value: unknown): boolean {
  if (typeof value !== "string") return false;
  return value === "..." || value === "<redacted>" || (value.startsWith("(") && value.endsWith(")"));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function first(found: (string | undefined)[]): string | undefined {
  return found.find((text) => text !== undefined);
}

function show(value: unknown): string {
  return JSON.stringify(value).slice(0, 300);
}
