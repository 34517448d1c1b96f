import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

type Network = [address: ipaddr.IPv4 | ipaddr.IPv6, length: number];

/**
 * The networks that are not of the public internet, by the registries of special addresses of IANA. They are named here, since
 * what the library calls special changes with its version.
 */
const specialNetworks: readonly Network[] = [
  // This machine, private and shared networks, link-local, protocol assignments
  ...["0.0.0.0/8", "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"],
  ...["169.254.0.0/16", "192.0.0.0/24"],
  // Documentation, benchmarks, AS112, AMT, relays of 6to4, multicast, reserved with broadcast
  ...["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15"],
  ...[
    "192.31.196.0/24",
    "192.175.48.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
  ],
  // A cloud's own services, among the public addresses
  "168.63.129.16/32",
  // Protocol assignments with Teredo, benchmarks, AMT, AS112 and ORCHID; documentation; 6to4; AS112
  ...["2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16", "2620:4f:8000::/48"],
].map(networkOf);
/** All addresses of IPv6 that the internet routes begin with these three bits. */
const routedNetwork = networkOf("2000::/3");

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
    return this.#allowed.some((network) => isIn(network, address));
  }
}

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (specialNetworks.some((network) => isIn(network, address))) return false;
  return address instanceof ipaddr.IPv4 || isIn(routedNetwork, address);
}

function isIn([network, length]: Network, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return address instanceof ipaddr.IPv4
    ? network instanceof ipaddr.IPv4 && address.match(network, length)
    : network instanceof ipaddr.IPv6 && address.match(network, length);
}

function networkOf(text: string): Network {
  if (text.includes("/")) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address instanceof ipaddr.IPv4 ? 32 : 128];
}
