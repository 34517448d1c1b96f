// PostgreSQL's `text` and `jsonb` refuse two things that a string of JavaScript may hold: the character U+0000, and half
// of a surrogate pair.

/** The reason why a text cannot be stored; `undefined` if it can. */
export function unstorable(text: string): string | undefined {
  if (text.includes("\0")) return "contains the character U+0000";
  if (/\p{Surrogate}/u.test(text)) return "contains half a surrogate pair, which is not a character";
  return undefined;
}

/**
 * The part of `unstorable` that a JSON Schema's `pattern` can express. Text that arrived as UTF-8 has no halves of
 * surrogate pairs.
 */
export const withoutNul = "^[^\\u0000]*$";

/** Every escape of a JSON text; `JSON.stringify` escapes NUL and halves of surrogate pairs, and no whole pairs. */
const escapes = /\\(u[0-9a-f]{4}|.)/g;
const unstorableEscape = /^u(?:0000|d[89a-f][0-9a-f]{2})$/;

/** Whether a JSON text, with strings as `JSON.stringify` writes them, can be stored exactly as it is. */
export function isStorableJson(json: string): boolean {
  if (!json.includes("\\u")) return true;
  return ![...json.matchAll(escapes)].some(([, escape]) => unstorableEscape.test(escape ?? ""));
}

/** The same JSON text, with U+FFFD in place of what cannot be stored. */
export function toStorableJson(json: string): string {
  return json.replaceAll(escapes, (whole, escape: string) =>
    unstorableEscape.test(escape) ? "\\ufffd" : whole,
  );
}

/** The same text, with U+FFFD in place of what cannot be stored. */
export function toStorableText(text: string): string {
  return text.replaceAll(/\0|\p{Surrogate}/gu, "\ufffd");
}
