import { Resolver } from "node:dns";
import { resolve } from "node:path";
import { z } from "zod";
import {
  AddressError,
  type ComfyUIAddress,
  readServerAddress,
  requireOneWayToEach,
} from "./comfyui-address.ts";
import { labelPattern, labelsMax, slotsMax } from "./server-labels.ts";
import { list, wholeNumber } from "./setting-values.ts";

/** The ComfyUI servers. */
export interface ServerSettings {
  /** Names further servers, and is watched. Absolute. */
  readonly serversFile: string | undefined;
  /** Each server once; empty if not set; `npm start` then starts the simulator. */
  readonly comfyuiServers: readonly ComfyUIAddress[];
  /** Whether a worker takes the servers that operators add by the API. */
  readonly takesServersOfApi: boolean;
  /** How many of them the farm may have. */
  readonly addedServersMax: number;
  /** How often names that stand for several servers are looked up. */
  readonly serversDnsIntervalMs: number;
  /** The DNS servers to ask, `host` or `host:port`; empty = as the system resolves names. */
  readonly serversDns: readonly string[];
  /** Distinguishes the loopback addresses of this machine from those of other machines. */
  readonly serverName: string | undefined;
  /** Prompts that one ComfyUI server may hold at once: one runs, the rest wait in its own queue. */
  readonly serverSlots: number;
  /** How long jobs may wait for a model while other models have work, before a server changes its model for them. */
  readonly lanePatienceMs: number;
  /** Labels of servers, sorted, by the servers' URLs. Jobs may require them. */
  readonly serverLabels: ReadonlyMap<string, readonly string[]>;
}

const comfyuiUrls = z.string().transform((text, context) => {
  const urls = list(text);
  try {
    requireOneWayToEach(urls.map((url) => readServerAddress(url, undefined)));
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    context.addIssue({ code: "custom", message: error.message });
  }
  return urls;
});

const dnsServers = z.string().transform(list).refine(areDnsServers, {
  error: "IP addresses, each perhaps with a port (10.0.0.2:53), separated by commas",
});

function areDnsServers(servers: readonly string[]): boolean {
  try {
    new Resolver().setServers(servers);
    return true;
  } catch {
    return false;
  }
}

const accepted =
  "http://gpu-1:8188=gpu:24gb,pool:night; http://gpu-2:8188=gpu:12gb: the URL of each server once, and after = up to " +
  `${labelsMax} labels of 1 to 64 lower-case letters, digits, dots, hyphens or underscores, in one or two parts`;

/** Reads `URL=label,label; URL=label`, by the URLs in the spelling of `identityOfUrl`. */
const serverLabels = z.string().transform((text, context): ReadonlyMap<string, readonly string[]> => {
  const servers = new Map<string, readonly string[]>();
  const entries = text.split(";").filter((entry) => entry.trim() !== "");
  for (const entry of entries) {
    const [, url = "", labels = ""] = /^(.*)=([^=]*)$/.exec(entry.trim()) ?? [];
    const names = [...new Set(list(labels))].sort();
    const identity = urlOrNone(url.trim());
    const isGood =
      names.length > 0 && names.length <= labelsMax && names.every((name) => labelPattern.test(name));
    if (identity === undefined || !isGood || servers.has(identity)) {
      context.addIssue({ code: "custom", message: accepted });
      return z.NEVER;
    }
    servers.set(identity, names);
  }
  return servers;
});

function urlOrNone(text: string): string | undefined {
  try {
    return readServerAddress(text, undefined).url;
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/** The variables of these settings, in the order of `.env.example`. */
export const serverVariables = {
  COMFYUI_URLS: comfyuiUrls.default([]),
  COMFYUI_SERVERS_FILE: z.string().optional(),
  SERVERS_DNS_INTERVAL_MS: wholeNumber(100, 3_600_000).default(10_000),
  SERVERS_DNS: dnsServers.default([]),
  SERVERS_FROM_API: z.enum(["true", "false"], { error: "true or false" }).default("true"),
  ADDED_SERVERS_MAX: wholeNumber(0, 10_000).default(1_000),
  SERVER_NAME: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, { error: "1 to 64 letters, digits, dots, hyphens or underscores" })
    .optional(),
  SERVER_SLOTS: wholeNumber(1, slotsMax).default(2),
  LANE_PATIENCE_MS: wholeNumber(100, 24 * 3_600_000).default(60_000),
  SERVER_LABELS: serverLabels.default(new Map()),
};

export function serversFrom(values: z.infer<z.ZodObject<typeof serverVariables>>): ServerSettings {
  const { COMFYUI_URLS, COMFYUI_SERVERS_FILE, SERVER_NAME, SERVER_SLOTS, SERVER_LABELS, LANE_PATIENCE_MS } =
    values;
  const addresses = COMFYUI_URLS.map((url) => readServerAddress(url, SERVER_NAME));
  return {
    serversFile: COMFYUI_SERVERS_FILE === undefined ? undefined : resolve(COMFYUI_SERVERS_FILE),
    comfyuiServers: [...new Map(addresses.map((address) => [address.identity, address])).values()],
    takesServersOfApi: values.SERVERS_FROM_API === "true",
    addedServersMax: values.ADDED_SERVERS_MAX,
    serversDnsIntervalMs: values.SERVERS_DNS_INTERVAL_MS,
    serversDns: values.SERVERS_DNS,
    serverName: SERVER_NAME,
    serverSlots: SERVER_SLOTS,
    lanePatienceMs: LANE_PATIENCE_MS,
    serverLabels: SERVER_LABELS,
  };
}
