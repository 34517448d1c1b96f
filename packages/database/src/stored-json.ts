import { type Json } from "@genga/jobs";

/** PostgreSQL's `jsonb` and `text` refuse two things that JavaScript strings may hold: NUL and unpaired surrogates. */
const unstorable = /^u(?:0000|d[89a-f][0-9a-f]{2})$/;

/** Every escape of a JSON text; `JSON.stringify` escapes NUL and unpaired surrogates, and no paired ones. */
const escapes = /\\(u[0-9a-f]{4}|.)/g;

/** JSON for a statement's parameter. What PostgreSQL could not store is replaced by U+FFFD. */
export function toStoredJson(value: unknown): string {
  const json = JSON.stringify(value);
  return json.replaceAll(escapes, (whole, escape: string) => (unstorable.test(escape) ? "\\ufffd" : whole));
}

/** Whether a value would be stored exactly as it is. */
export function isStorable(value: Json): boolean {
  return isStorableJson(JSON.stringify(value));
}

/** The same of what `JSON.stringify` returned. */
export function isStorableJson(json: string): boolean {
  if (!json.includes("\\u")) return true;
  return ![...json.matchAll(escapes)].some(([, escape]) => unstorable.test(escape ?? ""));
}

/** Text that somebody else wrote, for a statement's parameter: a NUL is replaced by U+FFFD. */
export function toStoredText(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}
