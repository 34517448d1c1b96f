import {
  chooseLane,
  type LaneHead,
  LanePicture,
  type LaneReason,
  type LaneSettings,
  type PictureServer,
  type ServerRecord,
} from "@genga/jobs";
import { type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";
import { type LaneKnowledge } from "../lanes/lane-knowledge.ts";
import { type OwnedServer } from "../servers/owned-server.ts";
import { type Eligibility } from "./eligibility.ts";
import { type FreeServer } from "./free-servers.ts";

/** A ticket that is to be taken for a free slot. */
export interface PlannedTake {
  freeServer: FreeServer;
  lane: string;
  reason: LaneReason;
  /** Of an `urgent` take: the own band of the server's first ticket for what it has loaded. */
  keptBand: number | null;
}

export interface SlotPlannerOptions {
  knowledge: LaneKnowledge;
  eligibility: Eligibility;
  definitions: Pick<DefinitionsStore, "find">;
  settings: LaneSettings;
}

/** Decides from which lane each free slot takes its next ticket (`chooseLane`). */
export class SlotPlanner {
  readonly #options: SlotPlannerOptions;
  /** When servers without a job were first seen so. */
  readonly #emptySinceMs = new Map<string, number>();

  constructor(options: SlotPlannerOptions) {
    this.#options = options;
  }

  /**
   * Empty servers choose first. A slot behind a running job takes only what its server has loaded.
   * @param ready this worker's servers that take work, those without a free slot as well
   * @throws StoreUnavailableError
   */
  async plan(
    freeServers: readonly FreeServer[],
    ready: readonly OwnedServer[],
    heads: readonly LaneHead[],
  ): Promise<PlannedTake[]> {
    const { knowledge, eligibility, settings } = this.#options;
    const served = ready.flatMap(({ model }) => model.lane ?? []);
    const names = [...new Set([...heads.map(({ lane }) => lane), ...served])];
    await knowledge.refresh(names);
    await eligibility.learn(names);
    const capabilities = new Map<string, Capability>();
    const servers = [
      ...ready.map((server) => pictureOf(server, capabilities)),
      ...(await this.#picturesOf(knowledge.others, capabilities)),
    ];
    const nowMs = Date.now();
    this.#noteEmpty(ready, nowMs);
    const picture = new LanePicture({
      ...{ heads, servers, nowMs },
      laneNamed: (name) => knowledge.laneNamed(name),
      mayServe: remembered((capability, lane) => {
        const server = capabilities.get(capability);
        return server !== undefined && eligibility.mayServe(server, lane);
      }),
    });
    const plan: PlannedTake[] = [];
    for (const { freeServer, depth } of slotsOf(freeServers)) {
      const server = picture.schedulingServer(
        freeServer.id,
        depth === 0,
        depth === 0 ? (this.#emptySinceMs.get(freeServer.id) ?? null) : null,
      );
      const choice = chooseLane(server, picture.lanesFor(freeServer.id), nowMs, settings);
      if (choice === null) continue;
      const { lane, reason, keptBand = null } = choice;
      plan.push({ freeServer, lane, reason, keptBand });
      picture.noteTake(freeServer.id, choice.lane);
    }
    return plan;
  }

  #noteEmpty(ready: readonly OwnedServer[], nowMs: number): void {
    const empty = new Set(ready.filter(({ jobsHeld }) => jobsHeld === 0).map(({ id }) => id));
    for (const id of this.#emptySinceMs.keys()) if (!empty.has(id)) this.#emptySinceMs.delete(id);
    for (const id of empty) if (!this.#emptySinceMs.has(id)) this.#emptySinceMs.set(id, nowMs);
  }

  async #picturesOf(
    records: readonly ServerRecord[],
    capabilities: Map<string, Capability>,
  ): Promise<PictureServer[]> {
    const pictures = [];
    for (const { definitionsHash, ...record } of records) {
      const definitions =
        definitionsHash === null ? null : await this.#options.definitions.find(definitionsHash);
      if (definitions === null) continue;
      const { id, labels, lane, loadedModel, modelSince } = record;
      pictures.push(
        pictureOf({ id, definitions, labels, model: { lane, loadedModel, modelSince } }, capabilities),
      );
    }
    return pictures;
  }
}

interface Capability {
  definitions: HashedDefinitions | null;
  labels: readonly string[];
}

function pictureOf(
  { id, definitions, labels, model }: Pick<OwnedServer, "id" | "definitions" | "labels" | "model">,
  capabilities: Map<string, Capability>,
): PictureServer {
  const capability = `${definitions?.hash ?? ""} ${labels.join()}`;
  capabilities.set(capability, { definitions, labels });
  const { lane, loadedModel, modelSince } = model;
  return { id, lane, loadedModel, modelSinceMs: modelSince?.getTime() ?? null, capability };
}

/** The free slots, those of empty servers first. `depth` = how many jobs stand before the slot. */
function slotsOf(freeServers: readonly FreeServer[]): { freeServer: FreeServer; depth: number }[] {
  return freeServers
    .flatMap((freeServer) =>
      Array.from({ length: freeServer.slots - freeServer.jobsHeld }, (_, index) => ({
        freeServer,
        depth: freeServer.jobsHeld + index,
      })),
    )
    .sort((one, other) => one.depth - other.depth);
}

/** Asks once for each pair. */
function remembered(
  ask: (capability: string, lane: string) => boolean,
): (capability: string, lane: string) => boolean {
  const answers = new Map<string, boolean>();
  return (capability, lane) => {
    const key = `${lane} ${capability}`;
    const answer = answers.get(key) ?? ask(capability, lane);
    answers.set(key, answer);
    return answer;
  };
}
