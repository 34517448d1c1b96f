import { needsOf, parseWorkflow } from "@genga/comfyui";
import { type Candidate, type ServerRecord, takesWork } from "@genga/jobs";
import { type OwnedServer } from "../servers/owned-server.ts";
import { placeJob, type PlaceableServer } from "./placement.ts";
import { type RunnableCache } from "./runnable-cache.ts";

/** A server's free slots, counted down while a pass fills them. */
export interface Room extends PlaceableServer {
  server: OwnedServer;
  clientId: string;
}

/** A server of another worker without a job. */
export interface EmptyElsewhere {
  id: string;
  definitionsHash: string;
}

/** The rooms of those servers that have a free slot. */
export function roomsOf(servers: readonly OwnedServer[]): Room[] {
  return servers
    .filter((server) => server.jobsHeld < server.slots)
    .map((server) => ({
      id: server.id,
      slots: server.slots,
      jobsHeld: server.jobsHeld,
      checkpoint: server.checkpoint,
      server,
      clientId: server.connector.clientId,
    }));
}

export function countFreeSlots(rooms: readonly Room[]): number {
  return rooms.reduce((sum, room) => sum + room.slots - room.jobsHeld, 0);
}

/** Those of all servers that stand empty in the hands of other workers, and take work. */
export function emptyElsewhereOf(records: readonly ServerRecord[], workerId: string): EmptyElsewhere[] {
  return records.flatMap((server) =>
    server.ownerId !== workerId &&
    server.ownerId !== null &&
    server.isLeased &&
    takesWork(server.state) &&
    !server.draining &&
    server.jobsHeld === 0 &&
    server.definitionsHash !== null
      ? [{ id: server.id, definitionsHash: server.definitionsHash }]
      : [],
  );
}

/** Takes the slot that suits the job best (`placement.ts`); `null` = the job is better left in the queue. */
export async function takeRoom(
  candidate: Candidate,
  rooms: readonly Room[],
  elsewhere: readonly EmptyElsewhere[],
  canRun: RunnableCache,
): Promise<Room | null> {
  const runnable = rooms.filter(
    ({ server }) => server.definitions !== null && canRun.test(candidate, server.definitions),
  );
  const others = [];
  for (const other of elsewhere) {
    if (await canRun.testByHash(candidate, other.definitionsHash)) others.push(other);
  }
  const checkpoint = checkpointOf(candidate);
  const best = placeJob({ checkpoint, avoidServerId: candidate.avoidServerId }, runnable, others);
  const room = rooms.find(({ id }) => id === best?.id);
  if (room === undefined) return null;
  room.jobsHeld += 1;
  room.checkpoint = checkpoint ?? room.checkpoint;
  return room;
}

function checkpointOf(candidate: Candidate): string | null {
  return needsOf(parseWorkflow(candidate.workflow)).models[0]?.name ?? null;
}
