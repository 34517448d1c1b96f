import { mainModelOf, needsOf, parseWorkflow } from "@genga/comfyui";
import { type Candidate, type ServerRecord, takesWork } from "@genga/jobs";
import { type OwnedServer } from "../servers/owned-server.ts";
import { placeJob, type PlaceableServer } from "./placement.ts";
import { type RunnableCache } from "./runnable-cache.ts";

/** A server with free slots. `jobsHeld` is counted up while a pass fills them. */
export interface FreeServer extends PlaceableServer {
  server: OwnedServer;
  clientId: string;
}

/** A server of another worker without a job. */
export interface EmptyElsewhere {
  id: string;
  definitionsHash: string;
  labels: readonly string[];
  loadedModel: string | null;
}

/** Those of the servers that have a free slot. */
export function freeServersOf(servers: readonly OwnedServer[]): FreeServer[] {
  return servers
    .filter((server) => server.jobsHeld < server.slots)
    .map((server) => ({
      id: server.id,
      slots: server.slots,
      jobsHeld: server.jobsHeld,
      checkpoint: server.model.loadedModel,
      server,
      clientId: server.connector.clientId,
    }));
}

export function countFreeSlots(freeServers: readonly FreeServer[]): number {
  return freeServers.reduce((sum, freeServer) => sum + freeServer.slots - freeServer.jobsHeld, 0);
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
  canRun: RunnableCache,
): Promise<TakenSlot | null> {
  const runnable = freeServers.filter(
    ({ server: { definitions, labels } }) =>
      definitions !== null && canRun.test(candidate, definitions, labels),
  );
  const others = [];
  for (const other of elsewhere) {
    if (await canRun.testByHash(candidate, other.definitionsHash, other.labels)) others.push(other);
  }
  const checkpoint = checkpointOf(candidate);
  const best = placeJob({ checkpoint, avoidServerId: candidate.avoidServerId }, runnable, others);
  const freeServer = freeServers.find(({ id }) => id === best?.id);
  if (freeServer === undefined) return null;
  freeServer.jobsHeld += 1;
  freeServer.checkpoint = checkpoint ?? freeServer.checkpoint;
  return { freeServer, checkpoint };
}

function checkpointOf(candidate: Candidate): string | null {
  return mainModelOf(needsOf(parseWorkflow(candidate.workflow)).models);
}
