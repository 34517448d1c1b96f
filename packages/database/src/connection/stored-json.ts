import { type Json } from "@genga/jobs";

/**
 * JavaScript strings may contain two things that PostgreSQL's `jsonb` and `text` refuse: NUL and unpaired surrogates.
 */
const unstorable = /^u(?:0000|d[89a-f][0-9a-f]{2})$/;

/** Every escape in a JSON text. `JSON.stringify` escapes NUL and unpaired surrogates, but not paired ones. */
const escapes = /\\(u[0-9a-f]{4}|.)/g;

/** JSON for a statement's parameter. Characters that PostgreSQL cannot store are replaced by U+FFFD. */
export function toStoredJson(value: unknown): string {
  const json = JSON.stringify(value);
  return json.replaceAll(escapes, (whole, escape: string) => (unstorable.test(escape) ? "\\ufffd" : whole));
}

/** Whether a value would be stored unchanged. */
export function isStorable(value: Json): boolean {
  return isStorableJson(JSON.stringify(value));
}

/** The same for a JSON text whose strings are written as `JSON.stringify` writes them. */
export function isStorableJson(json: string): boolean {
  if (!json.includes("\\u")) return true;
  return ![...json.matchAll(escapes)].some(([, escape]) => unstorable.test(escape ?? ""));
}

/**
 * Finds numbers whose value `jsonb` keeps but whose spelling it changes: those with an exponent (1e5 comes back as
 * 100000, which Python no longer reads as a float), a float that is minus zero, and those with more digits than `jsonb`
 * takes. It may also match inside of a string. Then the graph is also stored as text, which does no harm.
 */
const rewrittenByJsonb = /\d[eE][-+]?\d|-0\.0+(?!\d)|[\d.]{400}/;

/**
 * How a graph is stored: as `jsonb`, which keeps all digits of all other numbers and 1.0 as 1.0, and also as text if
 * `jsonb` would change a number's spelling.
 */
export function storedGraph(text: string): { json: string; text: string | null } {
  if (!rewrittenByJsonb.test(text)) return { json: text, text: null };
  return { json: JSON.stringify(JSON.parse(text)), text };
}

/** Foreign text for a statement's parameter; NUL is replaced by U+FFFD. */
export function toStoredText(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}
