import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { createLogger, type NamedServer, readServerAddress } from "@genga/runtime";
import { ResolvedNames } from "../src/sources/resolved-names.ts";
import { type DnsServer, startDnsServer } from "./support/dns-server.ts";

// Names that stand for several servers, asked of a real DNS server.

let dns: DnsServer;
let names: ResolvedNames;
let changes: number;
let onChanged: () => void;

beforeEach(async () => {
  [changes, onChanged] = [0, () => undefined];
  dns = await startDnsServer(["10.0.0.2", "10.0.0.1", "fd00::7"]);
  names = new ResolvedNames({
    ...{ intervalMs: 50, dnsServers: [dns.address], serverName: "pod-7" },
    log: createLogger({ name: "resolved-names", level: "silent" }),
  });
  names.onChange(() => {
    changes += 1;
    onChanged();
  });
});

afterEach(() => {
  names.close();
  dns.close();
});

const farm: NamedServer = {
  address: readServerAddress("dns+https://u:p@ComfyUI.test:8188/", "pod-7"),
  ...{ slots: 2, labels: ["a"], source: "setting", credential: null, resolvedFrom: null },
};
const identities = (): string[] => names.expand([farm]).map(({ address }) => address.identity);

async function untilChanged(isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    await new Promise<void>((resolve) => {
      onChanged = resolve;
    });
  }
}

test("each address of the name is a server, reached under the name; those that are gone are retired", async () => {
  expect(farm.address).toMatchObject({ identity: "dns+https://comfyui.test:8188", resolves: true });
  expect(identities()).toEqual([]);
  await untilChanged(() => changes === 1);
  // A machine has both an IPv4 and an IPv6 address, and is one server.
  expect(identities()).toEqual(["https://10.0.0.1:8188", "https://10.0.0.2:8188"]);
  expect(names.expand([farm])[1]).toEqual({
    ...{ ...farm, resolvedFrom: "comfyui.test" },
    address: {
      ...{ identity: "https://10.0.0.2:8188", url: "https://comfyui.test:8188", ipAddress: "10.0.0.2" },
      credentials: { username: "u", password: "p" },
    },
  });
  dns.addresses = ["10.0.0.2", "127.0.0.3"];
  await untilChanged(() => changes === 3);
  // The loopback address is this machine's.
  expect(identities()).toEqual(["https://10.0.0.2:8188", "https://127.0.0.3:8188#pod-7"]);
  dns.addresses = ["fd00::7"];
  await untilChanged(() => identities().length === 1);
  expect(identities()).toEqual(["https://[fd00::7]:8188"]);
});

test("an answer that fails, is empty or lacks an address once retires nobody, and trouble is told", async () => {
  identities();
  await untilChanged(() => changes === 1);
  const before = identities();
  dns.behaviour = 2;
  await untilChanged(() => names.unresolved === 1);
  expect(names.problem).toMatch(/comfyui\.test \(ESERVFAIL\)/);
  await dns.asked(3);
  dns.behaviour = 3;
  await untilChanged(() => names.problem?.includes("ENOTFOUND") === true);
  await dns.asked(3);
  [dns.behaviour, dns.addresses] = [0, []];
  await untilChanged(() => names.problem?.includes("ENODATA") === true);
  expect(identities()).toEqual(before);
  dns.addresses = ["10.0.0.1", "10.0.0.2"];
  await untilChanged(() => names.unresolved === 0);
  dns.addresses = ["10.0.0.2"];
  await dns.asked(1);
  dns.addresses = ["10.0.0.1", "10.0.0.2"];
  await dns.asked(3);
  expect([identities(), names.problem]).toEqual([before, null]);
});

test("a worker that starts while DNS is away goes on with the servers of its rows, until DNS answers", async () => {
  dns.behaviour = 2;
  identities();
  const row = { resolvedFrom: "comfyui.test", isRemoved: false };
  await names.firstLookups(() =>
    Promise.resolve([
      { ...row, url: "https://10.0.0.8:8188" },
      { ...row, url: "https://10.0.0.9:8188", isRemoved: true },
      { ...row, url: "https://127.0.0.9:8188#pod-8" },
      { ...row, url: "https://10.0.0.7:8188", resolvedFrom: "another.test" },
    ]),
  );
  expect(identities()).toEqual(["https://10.0.0.8:8188"]);
  dns.behaviour = 0;
  await untilChanged(() => identities().length === 2);
  expect(identities()).toEqual(["https://10.0.0.1:8188", "https://10.0.0.2:8188"]);
});

test("a name that is no longer used is not asked for any more", async () => {
  identities();
  await untilChanged(() => changes === 1);
  expect(names.expand([])).toEqual([]);
  dns.addresses = ["10.0.0.3"];
  identities();
  await untilChanged(() => changes === 2);
  expect(identities()).toEqual(["https://10.0.0.3:8188"]);
});

test.each(["dns+http://10.0.0.1:8188", "dns+https://[fd00::7]", "dns+ftp://comfyui", "dns+comfyui"])(
  "%s is refused",
  (text) => {
    expect(() => readServerAddress(text, undefined)).toThrow(/http/);
  },
);
