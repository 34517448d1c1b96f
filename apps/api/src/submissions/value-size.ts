import { numberOf } from "@genga/comfyui";
import { bodyBytesMax } from "../http/error-mapping.ts";

export interface ValueSize {
  /** Members and items. */
  values: number;
  /** Roughly those of its text. */
  characters: number;
}

/**
 * All jobs of one request together, however short the request that describes them: members and items as of a batch that
 * lists its jobs, and ten times the characters that such a body may have.
 */
export const sizeOfAllMax: ValueSize = { values: 2_000_000, characters: 10 * bodyBytesMax };

export function sizeOf(value: unknown): ValueSize {
  const size = { values: 0, characters: 0 };
  const waiting = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    size.values += 1;
    if (typeof next === "string") size.characters += next.length;
    if (typeof next === "object" && next !== null && numberOf(next) === undefined) {
      for (const [name, member] of Object.entries(next)) {
        size.characters += name.length;
        waiting.push(member ?? null);
      }
    }
  }
  return size;
}

/** @param times how often what is added comes */
export function addSize(sum: ValueSize, { values, characters }: ValueSize, times: number): void {
  sum.values += values * times;
  sum.characters += characters * times;
}

export function isTooLarge({ values, characters }: ValueSize): boolean {
  return values > sizeOfAllMax.values || characters > sizeOfAllMax.characters;
}
