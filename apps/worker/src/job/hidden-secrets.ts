import { ExactNumber } from "@genga/comfyui";

/** Shorter texts occur everywhere and are hardly secrets. */
const lengthMin = 8;
const cover = "***";
/** The mark where a long message was cut, and behind which its rest goes on. */
const cutMark = /(\n?…(?: \(\d+ characters are left out\)\n)?)/;

/** Cuts secrets out of texts from a server, in every spelling in which a server may quote them. */
export class HiddenSecrets {
  /** The longest first, because one may be a part of another. */
  readonly #spellings: readonly string[];

  /** @param secrets JSON whose texts and numbers are secret */
  constructor(secrets: unknown) {
    const spellings = new Set(textsIn(secrets).flatMap(spellingsOf));
    this.#spellings = [...spellings].sort((one, other) => other.length - one.length);
  }

  hideIn(text: string): string {
    if (this.#spellings.length === 0) return text;
    let hidden = text;
    for (const spelling of this.#spellings) hidden = hidden.replaceAll(spelling, cover);
    return hidden
      .split(cutMark)
      .map((piece) => (cutMark.test(piece) ? piece : this.#withoutCutOffs(piece)))
      .join("");
  }

  /** A message that was cut may end with the beginning of a secret, or go on with the end of one. */
  #withoutCutOffs(piece: string): string {
    let left = piece;
    for (const spelling of this.#spellings) {
      for (let length = spelling.length - 1; length >= lengthMin; length -= 1) {
        if (left.endsWith(spelling.slice(0, length))) left = `${left.slice(0, -length)}${cover}`;
        if (left.startsWith(spelling.slice(-length))) left = `${cover}${left.slice(length)}`;
      }
    }
    return left;
  }
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value === "number" || value instanceof ExactNumber) return [String(value)];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/** As it is, and as JSON, Python (`repr`, `json.dumps`) and URLs write it. */
function spellingsOf(text: string): string[] {
  if (text.length < lengthMin) return [];
  const asJson = JSON.stringify(text).slice(1, -1);
  const wellFormed = Buffer.from(text).toString();
  return [
    text,
    asJson,
    asJson.replaceAll('\\"', '"'),
    asJson.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`),
    encodeURIComponent(wellFormed),
  ];
}
