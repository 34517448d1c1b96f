import { expect, test } from "@jest/globals";
import { type AddedServer } from "@genga/jobs";
import { type NamedServer } from "@genga/runtime";
import { pino } from "pino";
import { AddedServersSource } from "./added-servers-source.ts";
import { ResolvedNames } from "./resolved-names.ts";
import { ServerSources } from "./server-sources.ts";

const added = (url: string): AddedServer => ({
  ...{ id: "019c0000-0000-7000-8000-000000000001", url, slots: 1, labels: [], credential: null },
  ...{ sealedAuthorization: null, isRemoved: false },
});
const named = (url: string): NamedServer => ({
  ...{ address: { identity: url, url, credentials: undefined }, slots: 1, labels: [], source: "api" },
  ...{ credential: null, resolvedFrom: null },
});
const log = pino({ enabled: false });
const withoutNames = new ResolvedNames({ intervalMs: 1_000, dnsServers: [], serverName: undefined, log });
const sourcesWithoutFile = (): ServerSources =>
  new ServerSources({ setting: [], file: undefined, names: withoutNames, log });

test("the credentials of a server of the API count as unknown unless its list contains the server", async () => {
  const sources = sourcesWithoutFile();
  expect(() => sources.authorizationFor(named("http://listed"))).toThrow("takes no servers of the API");
  const store = {
    revisionOfAdded: () => Promise.resolve("1"),
    listAdded: () => Promise.resolve([added("http://listed")]),
  };
  sources.addSource(new AddedServersSource({ store, secretBox: undefined, serverName: undefined }));
  expect(() => sources.authorizationFor(named("http://listed"))).toThrow("no such server");
  await sources.refresh();
  expect(sources.authorizationFor(named("http://listed"))).toBeUndefined();
  expect(() => sources.authorizationFor(named("http://other"))).toThrow("no such server");
});

test("the list is only read when it has changed", async () => {
  let [revision, reads, changes] = ["1", 0, 0];
  const store = {
    revisionOfAdded: () => Promise.resolve(revision),
    listAdded: () => Promise.resolve([added(`http://server-${(reads += 1)}`)]),
  };
  const source = new AddedServersSource({ store, secretBox: undefined, serverName: undefined });
  source.onChange(() => (changes += 1));
  for (const next of ["1", "1", "2", "2"]) {
    revision = next;
    await source.refresh();
  }
  expect([reads, changes]).toEqual([2, 2]);
  expect(source.servers[0]?.address.url).toBe("http://server-2");
});
