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

/** The same of a JSON text in which strings are written as `JSON.stringify` writes them. */
export function isStorableJson(json: string): boolean {
  if (!json.includes("\\u")) return true;
  return ![...json.matchAll(escapes)].some(([, escape]) => unstorable.test(escape ?? ""));
}

/**
 * Finds numbers that `jsonb` keeps as a value and writes in another way: those with an exponent (1e5 comes back as 100000,
 * which is no float in Python any more), a float that is minus zero, and more digits than `jsonb` takes. It may find
 * such a thing inside of a string, too, where it costs a copy of the graph and nothing else.
 */
const rewrittenByJsonb = /\d[eE][-+]?\d|-0\.0+(?!\d)|[\d.]{400}/;

/** How a graph is stored: `jsonb` keeps all digits of all other numbers, 1.0 as 1.0. */
export function storedGraph(text: string): { json: string; text: string | null } {
  if (!rewrittenByJsonb.test(text)) return { json: text, text: null };
  return { json: JSON.stringify(JSON.parse(text)), text };
}

/** Text that somebody else wrote, for a statement's parameter: a NUL is replaced by U+FFFD. */
export function toStoredText(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}
