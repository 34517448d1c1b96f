import { type IncomingMessage } from "node:http";
import { type Duplex } from "node:stream";
import { type Database } from "@genga/database";
import { type DoorFiles, type DoorPrompts, type OutputStorage } from "@genga/jobs";
import { type KnownServers } from "../servers/known-servers.ts";
import { type Admitted } from "./door-access.ts";
import { DoorHistory } from "./door-history.ts";
import { PictureConversions } from "./picture-conversion.ts";
import { ServedDefinitions } from "./served-definitions.ts";

/** Takes over the connections of clients that open a WebSocket, and tells them of changes that come over HTTP. */
export interface DoorUpgrades {
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, admitted: Admitted): void;
  /** The tenant's prompts that wait or run have changed. */
  noteQueue(tenantId: string): void;
}

/** What the door has of its own. */
export interface OwnDoorParts {
  prompts: DoorPrompts;
  files: DoorFiles;
  history: DoorHistory;
  definitions: ServedDefinitions;
  pictures: PictureConversions;
  /** Absent = no WebSocket is served. */
  upgrades?: DoorUpgrades;
}

export function ownDoorParts(
  database: Pick<Database, "doorPrompts" | "doorFiles" | "jobReader" | "servers">,
  servers: Pick<KnownServers, "farm">,
  storage: OutputStorage,
): OwnDoorParts {
  const { doorPrompts: prompts, doorFiles: files, jobReader: jobs } = database;
  return {
    ...{ prompts, files },
    history: new DoorHistory({ jobs, files }),
    definitions: new ServedDefinitions({ servers, store: database.servers }),
    pictures: new PictureConversions(storage),
  };
}
