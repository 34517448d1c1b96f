// Control characters, among them those that begin a terminal's commands, line separators, and what turns the direction of text.
const unsafe = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/**
 * Text of jobs, servers and files as one line that a terminal only shows: prompts and names may hold commands for it, such as one
 * that writes to the clipboard.
 */
export function safeText(text: string): string {
  return text.replace(unsafe, (character) =>
    character === "\n" || character === "\t" || character === "\r" ? " " : codeOf(character),
  );
}

/** JSON as a terminal may show it; its values stay the same. `JSON.stringify` escapes fewer characters than terminals obey. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(unsafe, codeOf);
}

function codeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
