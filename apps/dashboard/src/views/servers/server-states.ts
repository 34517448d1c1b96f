import { type paths } from "@genga/client";

type Json<Path extends keyof paths> = paths[Path] extends {
  get: { responses: { 200: { content: { "application/json": infer Content } } } };
}
  ? Content
  : never;

export type Server = Json<"/api/anime/servers">["servers"][number];
type Queue = Json<"/api/anime/queue">;
export type ServerOutlook = NonNullable<Queue["outlook"]>["servers"][number];

interface ShownState {
  readonly colour: string;
  /** What it means, for whoever has never seen the word. */
  readonly text: string;
}

export const serverStates: Record<Server["state"], ShownState> = {
  unreachable: { colour: "red", text: "It does not answer. Its worker tries again all the time." },
  denied: { colour: "red", text: "It refuses the credentials that its worker sends." },
  wedged: { colour: "red", text: "It answers, but its prompt does not go on." },
  "storage-unavailable": {
    colour: "red",
    text: "It is well, but its worker cannot write to the storage for outputs. It goes on by itself.",
  },
  "storage-full": {
    colour: "red",
    text: "It is well, but the disk on which its worker stores outputs is nearly full. With room it goes on by itself.",
  },
  failing: {
    colour: "orange",
    text: "Too many jobs failed on it one after the other. It is tried again after a while.",
  },
  unowned: { colour: "orange", text: "No worker looks after it." },
  unknown: { colour: "gray", text: "Its worker is about to look at it." },
  recycling: { colour: "blue", text: "It ends its prompts, and then frees its memory." },
  leaving: { colour: "yellow", text: "Its worker takes no new jobs: it was told to drain." },
  retiring: { colour: "yellow", text: "It was taken out of the farm, and ends what it has." },
  probing: { colour: "blue", text: "It was in trouble, and gets one job at a time until one succeeds." },
  online: { colour: "teal", text: "It takes work." },
  retired: { colour: "gray", text: "No worker's configuration names it any more." },
};

const sources = { setting: "COMFYUI_URLS", file: "the servers file", api: "an operator" } as const;

/** Where a server comes from. */
export function sourceText({
  source,
  isAdded,
  resolvedFrom,
}: Pick<Server, "isAdded" | "resolvedFrom" | "source">): string | undefined {
  if (source === undefined) return undefined;
  const named = isAdded === true && source !== "api" ? `${sources[source]} and an operator` : sources[source];
  return typeof resolvedFrom === "string" ? `${named}, as an address of ${resolvedFrom}` : named;
}

const order = Object.keys(serverStates);

/** Those in trouble first, then by name. */
export function inOrder(servers: readonly Server[]): Server[] {
  return servers.toSorted(
    (one, other) =>
      order.indexOf(one.state) - order.indexOf(other.state) ||
      one.name.localeCompare(other.name, undefined, { numeric: true }),
  );
}

/** How many servers do not work, and need somebody to look at them. */
export function countSick(servers: readonly Pick<Server, "state">[]): number {
  return servers.filter(({ state }) => serverStates[state].colour === "red").length;
}

/** How many servers are in each state, those in trouble first. */
export function countStates(servers: readonly Server[]): { state: Server["state"]; count: number }[] {
  return (order as Server["state"][]).flatMap((state) => {
    const count = servers.filter((server) => server.state === state).length;
    return count === 0 ? [] : [{ state, count }];
  });
}
