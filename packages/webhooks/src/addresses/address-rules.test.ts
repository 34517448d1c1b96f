import { describe, expect, test } from "@jest/globals";
import ipaddr from "ipaddr.js";
import { AddressRules } from "./address-rules.ts";

const rules = new AddressRules();

describe("Without an allowed network", () => {
  test.each([
    ...["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    ...["127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3"],
    ...["169.254.169.254", "169.254.0.1", "168.63.129.16"],
    ...["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    ...["192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.0", "198.18.0.1", "198.19.255.255"],
    ...["198.51.100.1", "203.0.113.1", "192.31.196.1", "192.175.48.1", "192.52.193.1"],
    ...["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
    // IPv6: none, this machine, link-local, site-local, unique local, multicast, documentation, discard
    ...["::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"],
    ...["2001:db8::1", "3fff::1", "100::1"],
    // Those that contain an address of IPv4, be it public or not: compatible, mapped, translated, NAT64, 6to4, Teredo
    ...[
      "::127.0.0.1",
      "::8.8.8.8",
      "::ffff:127.0.0.1",
      "::ffff:7f00:1",
      "::ffff:8.8.8.8",
      "::ffff:0:10.0.0.1",
    ],
    ...["64:ff9b::7f00:1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1"],
    ...["2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1", "5f00::1"],
    ...["2001:3::1", "2001:4:112::1", "2001:30::1", "2001:1ff::1", "2620:4f:8000::1", "3fff:fff::1"],
    // No addresses in the form that the system's resolver gives them
    ...["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "example.com", "", "8.8.8.8 "],
  ])("%s is refused", (address) => {
    expect(rules.allows(address)).toBe(false);
  });

  test.each([
    ...[
      "8.8.8.8",
      "1.1.1.1",
      "172.15.255.255",
      "172.32.0.1",
      "100.63.255.255",
      "198.17.255.255",
      "198.20.0.0",
    ],
    ...["2606:4700::1111", "2001:200::1", "2001:4860:4860::8888"],
  ])("%s of the public internet is allowed", (address) => {
    expect(rules.allows(address)).toBe(true);
  });

  test("all networks that the library calls special are refused by the rules' own list", () => {
    const networks = [ipaddr.IPv4, ipaddr.IPv6].flatMap(({ prototype }) => {
      const { SpecialRanges } = prototype as unknown as { SpecialRanges: Record<string, unknown[]> };
      return Object.values(SpecialRanges).flatMap((ranges) =>
        Array.isArray(ranges[0])
          ? ranges.map((range) => String((range as unknown[])[0]))
          : [String(ranges[0])],
      );
    });
    expect(networks.length).toBeGreaterThan(30);
    expect(networks.filter((address) => rules.allows(address))).toEqual([]);
  });
});

test("the operator's networks are allowed, and no other ones", () => {
  const own = new AddressRules(["10.1.0.0/16", "192.168.5.7", "fd00:1::/32", "::1"]);
  for (const address of ["10.1.2.3", "192.168.5.7", "fd00:1::5", "::1", "8.8.8.8"])
    expect([address, own.allows(address)]).toEqual([address, true]);
  for (const address of ["10.2.0.1", "192.168.5.8", "fd00:2::5", "127.0.0.1", "::ffff:10.1.2.3"])
    expect([address, own.allows(address)]).toEqual([address, false]);
});
