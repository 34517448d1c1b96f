import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";
import { LRUCache } from "lru-cache";

export interface WrongKeysOptions {
  /** After this many wrong keys in a minute, the keys of an address are not checked for the rest of it. */
  perMinute: number;
  /** As `performance.now()`; tests pass their own clock. */
  now?: () => number;
}

const minuteMs = 60_000;
/** How many addresses are remembered; those whose last wrong key is oldest are forgotten first. */
const addressesMax = 10_000;
/** All addresses together may send this many times as many wrong keys as one address. */
const overallFactor = 60;
/** An address that is held up has one of its keys checked this often, so that a valid key gets through. */
const checkEveryMs = 1_000;
/** How long a valid key stays exempt after its last use from an address. Of such keys `rightMax` are remembered. */
const rightForMs = 60 * minuteMs;
const rightMax = 10_000;

interface Tally {
  count: number;
  since: number;
  checkedAt: number;
}

/**
 * Slows down clients that guess keys. Such a client may share its address with honest users behind the same proxy.
 * Therefore a key that was valid from this address within the last hour is never held up, and of the other keys one is
 * checked each second.
 */
export class WrongKeys {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #byAddress = new LRUCache<string, Tally>({ max: addressesMax });
  readonly #right = new LRUCache<string, number>({ max: rightMax });
  readonly #overall: Tally = { count: 0, since: -Infinity, checkedAt: -Infinity };

  constructor({ perMinute, now = () => performance.now() }: WrongKeysOptions) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** @returns whole seconds until the key may be sent again; 0 = check the key now */
  secondsToWait(address: string, key: string): number {
    const now = this.#now();
    // `peek`, because a check must not keep an entry from being the next to be forgotten.
    const rightUntil = this.#right.peek(hashOf(address, key)) ?? -Infinity;
    if (rightUntil > now) return 0;
    const own = this.#byAddress.peek(groupOf(address));
    const isOwnFull = own !== undefined && isFull(own, this.#perMinute, now);
    if (!isOwnFull && !isFull(this.#overall, this.#perMinute * overallFactor, now)) return 0;
    const tally = isOwnFull ? own : this.#overall;
    if (now - tally.checkedAt >= checkEveryMs) {
      tally.checkedAt = now;
      return 0;
    }
    return Math.max(Math.ceil((tally.since + minuteMs - now) / 1000), 1);
  }

  noteWrong(address: string): void {
    const now = this.#now();
    const group = groupOf(address);
    const known = this.#byAddress.get(group) ?? { count: 0, since: now, checkedAt: -Infinity };
    this.#byAddress.set(group, known);
    for (const tally of [known, this.#overall]) {
      if (now - tally.since >= minuteMs) Object.assign(tally, { count: 0, since: now });
      tally.count += 1;
    }
  }

  noteRight(address: string, key: string): void {
    this.#right.set(hashOf(address, key), this.#now() + rightForMs);
  }

  /** Takes away the exemption of a key that is not valid any more. */
  forget(address: string, key: string): void {
    this.#right.delete(hashOf(address, key));
  }
}

function isFull(tally: Tally, max: number, now: number): boolean {
  return tally.count >= max && now - tally.since < minuteMs;
}

/** A client that has one IPv6 address usually has all 2^64 of its network, so these count as one address. */
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
