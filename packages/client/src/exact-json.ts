import { randomId } from "./random-id.ts";

/**
 * Writes JSON in which every integer keeps its digits: a `bigint` is written as a number. An integer beyond 2^53−1 that
 * is a `number` has perhaps been rounded already, so it is not sent.
 * @throws RangeError naming such a number
 */
export function exactJsonText(value: unknown): string {
  // No text that a caller can know, so that no text of the caller is taken for a number.
  const mark = `bigint-${randomId()}:`;
  const text = JSON.stringify(value, (key, part: unknown) => {
    if (typeof part === "bigint") return `${mark}${part}`;
    if (isPerhapsRounded(part)) {
      throw new RangeError(
        `${key}: the number ${String(part)} may have been rounded, since it is beyond 2^53−1. Write it as text or as a bigint.`,
      );
    }
    return part;
  });
  return text.includes(mark) ? text.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1") : text;
}

/** Integers of ComfyUI have up to 64 bits. What is larger can only be meant as a float. */
const integersEnd = 2 ** 64;

function isPerhapsRounded(part: unknown): boolean {
  return (
    typeof part === "number" &&
    Number.isInteger(part) &&
    !Number.isSafeInteger(part) &&
    Math.abs(part) <= integersEnd
  );
}
