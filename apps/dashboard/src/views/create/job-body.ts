import { secretFields, type Field } from "./job-fields.ts";

/** A file that was sent to the API. */
export interface FileValue {
  readonly id: string;
  readonly name: string;
  readonly bytes: number;
  readonly width: number;
  readonly height: number;
}

/** An output of another job, as it was typed: the job's id, and the index of the output. */
export interface OutputValue {
  readonly from: string;
  readonly output: string;
}

export type EntryValue = Readonly<Record<string, string>>;
export type Value = string | boolean | readonly string[] | readonly EntryValue[] | FileValue | OutputValue;
/** What was typed, by the names of the fields. An input that is empty is absent, or an empty text. */
export type Values = Readonly<Record<string, Value | undefined>>;

/** The body that the fields stand for. What is no number stays as it was typed, so that the API says what is wrong with it. */
export function bodyOf(fields: readonly Field[], values: Values): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const field of fields) {
    const value = sent(field, values[field.name]);
    if (value !== undefined) put(body, field.name, value);
  }
  return body;
}

/** A job as JSON text. @param graph of a raw workflow, as text, so that its numbers keep their digits */
export function jobText(body: Record<string, unknown>, graph?: string): string {
  const text = JSON.stringify(body);
  return graph === undefined ? text : `${text.slice(0, -1)},"workflow":${graph}}`;
}

/** A batch that is a sweep of that job, or that one job alone. */
export function batchText(job: string, sweep: Record<string, unknown> | undefined, options: object): string {
  const jobs =
    sweep === undefined
      ? `"jobs":[${job}]`
      : `"sweep":${JSON.stringify({ base: 0, ...sweep }).replace('"base":0', () => `"base":${job}`)}`;
  return `{${[JSON.stringify(options).slice(1, -1), jobs].filter((part) => part !== "").join()}}`;
}

function sent(field: Field, value: Value | undefined): unknown {
  if (value === undefined || value === "") return undefined;
  switch (field.kind) {
    case "integer":
    case "number":
      return typeof value === "string" ? numberOrText(value) : undefined;
    case "boolean":
      return value === true || value === "true"
        ? true
        : value === false || value === "false"
          ? false
          : undefined;
    case "file":
      return typeof value === "object" ? sentFile(value) : undefined;
    case "texts":
      return Array.isArray(value) && value.length > 0 ? value : undefined;
    case "entries":
      return Array.isArray(value) ? entriesOf(field, value as readonly EntryValue[]) : undefined;
    case "time":
      return typeof value === "string" ? timeOrText(value) : undefined;
    case "choice":
      return field.choicesAsGiven?.find((choice) => String(choice) === value) ?? value;
    case "seed":
      return typeof value === "string" ? value.trim() || undefined : undefined;
    case "long-text":
    case "secret":
    case "text":
      return typeof value === "string" ? value : undefined;
  }
}

/** What a draft may keep. */
export function withoutSecrets(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !secretFields.includes(name)));
}

function entriesOf(field: Field, entries: readonly EntryValue[]): unknown[] | undefined {
  const bodies = entries.map((entry) => bodyOf(field.entry ?? [], entry));
  return bodies.length === 0 ? undefined : bodies;
}

export function numberOrText(text: string): number | string {
  const trimmed = text.trim();
  const number = Number(trimmed);
  const isExact = Number.isFinite(number) && (!Number.isInteger(number) || Number.isSafeInteger(number));
  return trimmed !== "" && isExact ? number : text;
}

function sentFile(value: Exclude<Value, string | boolean>): unknown {
  if ("id" in value) return value.id;
  return "from" in value ? { from: value.from, output: numberOrText(value.output) } : undefined;
}

/** The browser's inputs have local times; the API takes times with their zone. */
function timeOrText(text: string): string {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time.toISOString();
}

function put(body: Record<string, unknown>, path: string, value: unknown): void {
  const dot = path.indexOf(".");
  if (dot === -1) {
    body[path] = value;
    return;
  }
  const name = path.slice(0, dot);
  const inner = (body[name] ??= {}) as Record<string, unknown>;
  put(inner, path.slice(dot + 1), value);
}
