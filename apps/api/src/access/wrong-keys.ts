import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";

export interface WrongKeysOptions {
  /** Wrong keys of one address in a minute, after which its keys are not looked at. */
  perMinute: number;
  /** By `performance.now()`; tests bring their own. */
  now?: () => number;
}

const minuteMs = 60_000;
/** Addresses that are remembered; the ones that were seen longest ago are forgotten first. */
const addressesMax = 10_000;
/** All addresses together may send so many times what one may. */
const overallFactor = 60;
/** An address whose keys are not looked at has one of them looked at this often, so that a right one gets through. */
const lookEveryMs = 1_000;
/** How long a key that was right is looked at without question, and how many such keys are remembered. */
const rightForMs = 60 * minuteMs;
const rightMax = 10_000;

interface Tally {
  count: number;
  since: number;
  lookedAt: number;
}

/**
 * Slows down whoever tries keys. Strangers behind the same proxy share an address with its honest users, so a key that
 * was right within the last hour from this address is never held up, and its other keys take turns, one a second.
 */
export class WrongKeys {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #byAddress = new Map<string, Tally>();
  readonly #right = new Map<string, number>();
  readonly #overall: Tally = { count: 0, since: -Infinity, lookedAt: -Infinity };

  constructor({ perMinute, now = () => performance.now() }: WrongKeysOptions) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** @returns how long until the key may be sent again, in whole seconds; 0 = it may be looked at */
  secondsToWait(address: string, key: string): number {
    const now = this.#now();
    const rightUntil = this.#right.get(hashOf(address, key)) ?? -Infinity;
    if (rightUntil > now) return 0;
    const own = this.#byAddress.get(groupOf(address));
    const isOwnFull = own !== undefined && isFull(own, this.#perMinute, now);
    if (!isOwnFull && !isFull(this.#overall, this.#perMinute * overallFactor, now)) return 0;
    const tally = isOwnFull ? own : this.#overall;
    if (now - tally.lookedAt >= lookEveryMs) {
      tally.lookedAt = now;
      return 0;
    }
    return Math.max(Math.ceil((tally.since + minuteMs - now) / 1000), 1);
  }

  noteWrong(address: string): void {
    const now = this.#now();
    const group = groupOf(address);
    const known = this.#byAddress.get(group) ?? { count: 0, since: now, lookedAt: -Infinity };
    this.#byAddress.delete(group);
    const oldest = this.#byAddress.keys().next();
    if (this.#byAddress.size >= addressesMax && oldest.done !== true) this.#byAddress.delete(oldest.value);
    this.#byAddress.set(group, known);
    for (const tally of [known, this.#overall]) {
      if (now - tally.since >= minuteMs) Object.assign(tally, { count: 0, since: now });
      tally.count += 1;
    }
  }

  noteRight(address: string, key: string): void {
    const hash = hashOf(address, key);
    this.#right.delete(hash);
    const oldest = this.#right.keys().next();
    if (this.#right.size >= rightMax && oldest.done !== true) this.#right.delete(oldest.value);
    this.#right.set(hash, this.#now() + rightForMs);
  }

  /** A key that is not right any more waits like others. */
  forget(address: string, key: string): void {
    this.#right.delete(hashOf(address, key));
  }
}

function isFull(tally: Tally, max: number, now: number): boolean {
  return tally.count >= max && now - tally.since < minuteMs;
}

/** Whoever has one IPv6 address has the 2^64 around it: those count as one. */
function groupOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.toLowerCase().split("%")[0]?.split("::") ?? [];
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [
    ...groups(head),
    ...Array.from({ length: Math.max(zeros, 0) }, () => "0"),
    ...groups(tail ?? ""),
  ];
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}

function hashOf(address: string, key: string): string {
  return createHash("sha256")
    .update(`${groupOf(address)} ${key}`)
    .digest("base64");
}
