import { Resolver } from "node:dns/promises";
import { type AddressRules } from "./address-rules.ts";
import { addressIn } from "./webhook-url.ts";

/** Looks up all addresses of a name; rejects when there is none. */
export type LookUp = (name: string, signal: AbortSignal) => Promise<readonly string[]>;

/** One name may have many addresses; more than these are not tried. */
const addressesMax = 16;

/** The same words for a name that is not there and for one that leads inside, so that nobody can tell names in inner networks. */
export class NoAddressError extends Error {
  override readonly name = "NoAddressError";

  constructor() {
    super("The host has no address to which webhooks are sent.");
  }
}

/**
 * The addresses to which a request for this URL may go. They are looked up anew each time, and one that is not allowed
 * refuses them all: a name that leads inside and outside belongs to nobody who means well.
 * @throws NoAddressError
 */
export async function findAddresses(
  url: URL,
  { rules, lookUp, signal }: { rules: AddressRules; lookUp: LookUp; signal: AbortSignal },
): Promise<readonly string[]> {
  const given = addressIn(url);
  const found = given === null ? await lookUp(url.hostname, signal).catch((): string[] => []) : [given];
  const isAllowed = found.length > 0 && found.every((address) => rules.allows(address));
  if (!isAllowed) throw new NoAddressError();
  return found.slice(0, addressesMax);
}

const tries = 2;
const timeoutMs = 3_000;

/**
 * Asks the DNS servers of this machine for both kinds of addresses. The system's own lookup is not used: it takes one of
 * the few threads in which this process also reads files, so that slow DNS servers of tenants would hold up everything.
 */
export const lookUpByDns: LookUp = async (name, signal) => {
  const resolver = new Resolver({ timeout: timeoutMs, tries });
  const cancel = (): void => {
    resolver.cancel();
  };
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  } finally {
    signal.removeEventListener("abort", cancel);
  }
};
