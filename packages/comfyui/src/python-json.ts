/** Strings are matched to be passed over: what stands inside of them is text. */
const STRING_OR_BARE_WORD = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\b(?:NaN|Infinity)\b/gs;

/**
 * Reads JSON as Python's `json.dumps` writes it: `NaN`, `Infinity` and `-Infinity` stand in it bare (PROTOCOL-0.28 6,
 * recording 60), and a strict parser refuses the whole text for one of them. They become `null`: no JSON, and so neither
 * PostgreSQL nor an HTTP answer, could hold them. Only a text that a strict parser refuses is looked at a second time.
 * @throws SyntaxError
 */
export function parsePythonJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!text.includes("NaN") && !text.includes("Infinity")) throw error;
    return JSON.parse(text.replace(STRING_OR_BARE_WORD, (word) => (word.startsWith('"') ? word : "null")));
  }
}
