import {
  areShort,
  chooseLane,
  type LaneHead,
  LanePicture,
  type LaneReason,
  type LaneRuns,
  type LaneSettings,
  LaneTurns,
  type PictureServer,
  type ServerRecord,
} from "@genga/jobs";
import { type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";
import { type LaneKnowledge } from "../lanes/lane-knowledge.ts";
import { type OwnedServer } from "../servers/owned-server.ts";
import { type Eligibility } from "./eligibility.ts";
import { deepest, depthFor, type EmptyElsewhere, type FreeServer } from "./free-servers.ts";

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
  readonly #turns = new LaneTurns();

  constructor(options: SlotPlannerOptions) {
    this.#options = options;
  }

  /**
   * Empty servers choose first. A slot behind a running job takes only what its server has loaded. A place beyond the
   * server's slots takes only short jobs behind short ones, and only if no other worker has an empty server for them.
   * @param emptyElsewhere is called for such places only
   * @param ready this worker's servers that take work, those without a free slot as well
   * @throws StoreUnavailableError
   */
  async plan(
    freeServers: readonly FreeServer[],
    ready: readonly OwnedServer[],
    heads: readonly LaneHead[],
    emptyElsewhere: () => Promise<readonly EmptyElsewhere[]>,
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
    const runsOf = (lane: string): LaneRuns => knowledge.runsOf(lane);
    const nowMs = Date.now();
    this.#noteEmpty(ready, nowMs);
    const picture = new LanePicture({
      ...{ heads, servers, nowMs, turns: this.#turns },
      laneNamed: (name) => knowledge.laneNamed(name),
      mayServe: remembered((capability, lane) => {
        const server = capabilities.get(capability);
        return server !== undefined && eligibility.mayServe(server, lane);
      }),
    });
    const plan: PlannedTake[] = [];
    const slots = slotsOf(freeServers, (freeServer) => deepest(freeServer, runsOf));
    const isBeyond = ({ freeServer, depth }: Slot): boolean => depth >= freeServer.slots;
    const others = slots.some(isBeyond) ? await this.#capabilitiesOf(await emptyElsewhere()) : [];
    /** These get no more than their slots. */
    const shallow = new Set<FreeServer>();
    for (const slot of slots) {
      const { freeServer, depth } = slot;
      if (isBeyond(slot) && shallow.has(freeServer)) continue;
      const server = picture.schedulingServer(
        freeServer.id,
        depth === 0,
        depth === 0 ? (this.#emptySinceMs.get(freeServer.id) ?? null) : null,
      );
      const choice = chooseLane(server, picture.lanesFor(freeServer.id), nowMs, settings);
      if (choice === null) continue;
      const { lane, reason, keptBand = null } = choice;
      const runs = runsOf(lane);
      if (!areShort(runs) || others.some((other) => eligibility.mayServe(other, lane)))
        shallow.add(freeServer);
      if (isBeyond(slot) && (shallow.has(freeServer) || depth >= depthFor(freeServer, runs))) continue;
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

  async #capabilitiesOf(servers: readonly EmptyElsewhere[]): Promise<Capability[]> {
    const capabilities = [];
    for (const { definitionsHash, labels } of servers) {
      const definitions = await this.#options.definitions.find(definitionsHash);
      if (definitions !== null) capabilities.push({ definitions, labels });
    }
    return capabilities;
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

/** A place for one more job. `depth` = how many jobs stand before it. */
interface Slot {
  freeServer: FreeServer;
  depth: number;
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

/** The places, those of empty servers first. */
function slotsOf(freeServers: readonly FreeServer[], deepestOf: (freeServer: FreeServer) => number): Slot[] {
  return freeServers
    .flatMap((freeServer) =>
      Array.from({ length: deepestOf(freeServer) - freeServer.jobsHeld }, (_, index) => ({
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
