import { mainModelOf, needsOf, parseWorkflow } from "@genga/comfyui";
import {
  areShort,
  type Candidate,
  type LaneRuns,
  promptsAllowed,
  type ServerRecord,
  takesWork,
} from "@genga/jobs";
import { type OwnedServer } from "../servers/owned-server.ts";
import { placeJob, type PlaceableServer } from "./placement.ts";
import { type RunnableCache } from "./runnable-cache.ts";

/** A server with room for jobs. `jobsHeld` is counted up while a pass fills it. */
export interface FreeServer extends PlaceableServer {
  server: OwnedServer;
  clientId: string;
  /** Only short jobs stand before the next one, so there may be more of them than slots. */
  holdsOnlyShort: boolean;
  /** See `OwnedServer`. */
  refillMs: number | null;
}

/** What was measured of the runs of a lane. */
export type RunsOf = (lane: string) => LaneRuns;

/** A server of another worker without a job. */
export interface EmptyElsewhere {
  id: string;
  definitionsHash: string;
  labels: readonly string[];
  loadedModel: string | null;
}

/** Those of the servers that have room: a free slot, or for one more job of a short lane that they serve. */
export function freeServersOf(servers: readonly OwnedServer[], runsOf: RunsOf): FreeServer[] {
  const isShort = (lane: string): boolean => areShort(runsOf(lane));
  return servers
    .map((server) => ({
      id: server.id,
      slots: server.slots,
      jobsHeld: server.jobsHeld,
      checkpoint: server.model.loadedModel,
      server,
      clientId: server.connector.clientId,
      holdsOnlyShort: server.holdsOnlyShort(isShort),
      refillMs: server.refillMs,
    }))
    .filter((freeServer) => freeServer.jobsHeld < deepest(freeServer, runsOf));
}

/** How many prompts the server may hold if the last of them is of this lane. */
export function depthFor(
  { holdsOnlyShort, ...freeServer }: Pick<FreeServer, "slots" | "holdsOnlyShort" | "refillMs">,
  runs: LaneRuns,
): number {
  return holdsOnlyShort ? promptsAllowed(freeServer, runs) : freeServer.slots;
}

/** How many prompts the server may hold if it goes on with its lane. */
export function deepest(freeServer: FreeServer, runsOf: RunsOf): number {
  const { lane } = freeServer.server.model;
  return lane === null ? freeServer.slots : depthFor(freeServer, runsOf(lane));
}

/** Those of all servers that other workers own, that take work and have no job. */
export function emptyElsewhereOf(records: readonly ServerRecord[], workerId: string): EmptyElsewhere[] {
  return records.flatMap((server) =>
    server.ownerId !== workerId &&
    server.ownerId !== null &&
    server.isLeased &&
    takesWork(server.state) &&
    !server.draining &&
    server.jobsHeld === 0 &&
    server.definitionsHash !== null
      ? [
          {
            id: server.id,
            definitionsHash: server.definitionsHash,
            labels: server.labels,
            loadedModel: server.loadedModel,
          },
        ]
      : [],
  );
}

/** A slot that was taken for a job. */
export interface TakenSlot {
  freeServer: FreeServer;
  /** The main model of the job. */
  checkpoint: string | null;
}

/** Takes the best slot for the job (`placement.ts`); `null` = the job should stay queued. */
export async function takeSlot(
  candidate: Candidate,
  freeServers: readonly FreeServer[],
  elsewhere: readonly EmptyElsewhere[],
  { canRun, runsOf }: { canRun: RunnableCache; runsOf: RunsOf },
): Promise<TakenSlot | null> {
  const runs = runsOf(candidate.lane);
  const runnable = freeServers.filter(
    ({ server: { definitions, labels } }) =>
      definitions !== null && canRun.test(candidate, definitions, labels),
  );
  const others = [];
  for (const other of elsewhere) {
    if (await canRun.testByHash(candidate, other.definitionsHash, other.labels)) others.push(other);
  }
  const checkpoint = checkpointOf(candidate);
  const best = placeJob(
    { ...candidate, checkpoint },
    runnable.map((free) => ({ ...free, slots: depthFor(free, runs) })),
    others,
  );
  const freeServer = freeServers.find(({ id }) => id === best?.id);
  if (freeServer === undefined) return null;
  freeServer.jobsHeld += 1;
  freeServer.holdsOnlyShort &&= areShort(runs);
  freeServer.checkpoint = checkpoint ?? freeServer.checkpoint;
  return { freeServer, checkpoint };
}

function checkpointOf(candidate: Candidate): string | null {
  return mainModelOf(needsOf(parseWorkflow(candidate.workflow)).models);
}
