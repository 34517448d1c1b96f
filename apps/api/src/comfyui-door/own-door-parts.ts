import { type IncomingMessage } from "node:http";
import { type Duplex } from "node:stream";
import { type Database } from "@genga/database";
import { type DoorFiles, type DoorPrompt, type DoorPrompts, type OutputStorage } from "@genga/jobs";
import { RedisAskedPrompts, RedisDoorMessageTaker, type DoorMessagesOptions } from "@genga/queue";
import { latestSight, Sight } from "../access/sight.ts";
import { type KnownServers } from "../servers/known-servers.ts";
import { AskedHistory, askedMs } from "./asked-history.ts";
import { type Admitted } from "./door-access.ts";
import { doorFeatures } from "./door-features.ts";
import { DoorHistory } from "./door-history.ts";
import { PictureConversions } from "./picture-conversion.ts";
import { ServedDefinitions } from "./served-definitions.ts";
import { QueueAnswers } from "./queue-answers.ts";
import { shownError } from "./shown-errors.ts";
import { createDoorSockets, type DoorSocketsOptions } from "./socket/create-door-sockets.ts";

/** Takes over the connections of clients that open a WebSocket, and tells them of changes that come over HTTP. */
export interface DoorUpgrades {
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, admitted: Admitted): void;
  /** The tenant's prompts that wait or run have changed. */
  noteQueue(tenantId: string, addedBy?: string): void;
  /** The end of a prompt was shown in the history. */
  noteRead(prompt: DoorPrompt): void;
  /** Ends all connections. */
  close(): Promise<void>;
}

/** What the door has of its own. */
export interface OwnDoorParts {
  prompts: DoorPrompts;
  files: DoorFiles;
  history: DoorHistory;
  askedHistory: AskedHistory;
  queueAnswers: QueueAnswers;
  definitions: ServedDefinitions;
  pictures: PictureConversions;
  upgrades: DoorUpgrades;
}

export function ownDoorParts(
  database: Pick<Database, "doorPrompts" | "doorClients" | "doorFiles" | "jobReader" | "servers">,
  servers: Pick<KnownServers, "farm">,
  storage: OutputStorage,
  {
    redis,
    ...live
  }: Pick<DoorSocketsOptions, "feed" | "keyWatch" | "log" | "openSockets"> & { redis: DoorMessagesOptions },
): OwnDoorParts {
  const { doorPrompts: prompts, doorFiles: files, doorClients: clients, jobReader: jobs } = database;
  const definitions = new ServedDefinitions({ servers, store: database.servers });
  // Clients of one key speak of prompts of another, so operators see here what their tenants see.
  const sight = latestSight(async () => new Sight({ role: "read" }, (await servers.farm()).named));
  const history = new DoorHistory({ ...{ jobs, files, sight }, version: () => definitions.version() });
  const askedHistory = new AskedHistory(new RedisAskedPrompts({ ...redis, keptMs: askedMs }));
  return {
    ...{ prompts, files, history, definitions, askedHistory },
    queueAnswers: new QueueAnswers({ prompts, history, askedHistory }),
    upgrades: createDoorSockets({
      ...{ ...live, prompts, clients, jobs, storage, features: JSON.stringify(doorFeatures) },
      messages: new RedisDoorMessageTaker(redis),
      endingOf: (prompt) => history.endingOf(prompt),
      shownError: async (message) => shownError(message, await sight()),
    }),
    pictures: new PictureConversions(storage),
  };
}
