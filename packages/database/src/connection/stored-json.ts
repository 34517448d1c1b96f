import { isStorableJson, toStorableJson, type Json } from "@genga/jobs";

/** JSON for a statement's parameter. Characters that PostgreSQL cannot store are replaced by U+FFFD. */
export function toStoredJson(value: unknown): string {
  return toStorableJson(JSON.stringify(value));
}

/** Whether a value would be stored unchanged. */
export function isStorable(value: Json): boolean {
  return isStorableJson(JSON.stringify(value));
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
