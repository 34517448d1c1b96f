import { ExactNumber } from "@genga/comfyui";

/** Numbers that the door gives are times, and larger than those that clients choose. */
const givenFrom = Date.UTC(2020, 0, 1);

/** A server counts its prompts. This number also grows with each prompt, and is the same idea on every process: the time. */
export function nextNumber(isFront: boolean): number {
  const now = Date.now();
  return isFront ? -now : now;
}

/** The number of a prompt as a server writes it: one that the client chose is a float, 7.0 (PROTOCOL 2). */
export function shownNumber(number: number): number | ExactNumber {
  const isChosen = Math.abs(number) < givenFrom;
  return isChosen && Number.isInteger(number) ? new ExactNumber(`${number}.0`) : number;
}
