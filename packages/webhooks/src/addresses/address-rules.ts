import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

type Network = [address: ipaddr.IPv4 | ipaddr.IPv6, length: number];

/** Addresses of clouds' own services that lie among the public ones. */
const publicMetadata = new Set(["168.63.129.16"]);
/** All addresses of IPv6 that the internet routes begin with these three bits. */
const routedNetwork: [ipaddr.IPv6, number] = ipaddr.IPv6.parseCIDR("2000::/3");

/**
 * Says to which addresses requests may go: to those of the public internet, and to the networks that the operator has
 * allowed. Everything else is refused, also what is reserved today and may get a meaning later: private and shared
 * networks, this machine, link-local addresses with the metadata services of clouds, multicast, and all forms of IPv6 that
 * contain an address of IPv4 (mapped, NAT64, 6to4, Teredo).
 */
export class AddressRules {
  readonly #allowed: readonly Network[];

  /** @param networks in CIDR notation, such as `10.1.0.0/16` or `fd00::/8`; an address alone is a network of its own */
  constructor(networks: readonly string[] = []) {
    this.#allowed = networks.map(networkOf);
  }

  /** @param address as `net.isIP` accepts it; anything else is refused */
  allows(address: string): boolean {
    if (isIP(address) === 0) return false;
    const parsed = ipaddr.parse(address);
    return this.#isInAllowedNetwork(parsed) || isPublic(parsed);
  }

  /** The operator named the network in which this address is. */
  #isInAllowedNetwork(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
    return this.#allowed.some(([network, length]) =>
      address instanceof ipaddr.IPv4
        ? network instanceof ipaddr.IPv4 && address.match(network, length)
        : network instanceof ipaddr.IPv6 && address.match(network, length),
    );
  }
}

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (address.range() !== "unicast") return false;
  return address instanceof ipaddr.IPv4
    ? !publicMetadata.has(address.toString())
    : address.match(...routedNetwork);
}

function networkOf(text: string): Network {
  if (text.includes("/")) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address instanceof ipaddr.IPv4 ? 32 : 128];
}
