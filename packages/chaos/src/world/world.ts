import { join } from "node:path";
import { quickSimulator, startTcpProxy, type Passage, type TcpProxy } from "@genga/testing";
import { type Link } from "../plan/fault.ts";
import { type ServerKit } from "../plan/server-kits.ts";
import { type Services } from "../services/services.ts";
import { type Trouble } from "../history/history.ts";
import { Replica, type ReplicaKind } from "./replica.ts";
import { SimulatedServer } from "./simulated-server.ts";
import { PointSightings } from "./job-points.ts";
import { type TrafficSource } from "./traffic-source.ts";

export interface WorldOptions {
  services: Services;
  folder: string;
  apis: number;
  workers: number;
  /** One simulated server for each. */
  kits: readonly ServerKit[];
  leaseMs: number;
  graceMs: number;
}

/** Short, so that within a round servers change their models, lanes become overdue, and jobs age. */
const loadMs = 100;
const schedulingEnv = { LANE_PATIENCE_MS: "1000", AGEING_MS: "1500" };

/** All of Genga as processes, and every network between them under the suite's control. */
export class World {
  readonly services: Services;
  readonly apis: Replica[] = [];
  readonly workers: Replica[] = [];
  readonly simulators: SimulatedServer[] = [];
  readonly gateways: Readonly<Record<Link, TcpProxy>>;
  readonly troubles: Trouble[] = [];
  readonly deaths: string[] = [];
  /** Records which points in a job's life were recognised. */
  readonly sightings = new PointSightings();
  /** Targets that have a fault now; no target has two faults at the same time. */
  readonly busy = new Set<string>();
  readonly #options: WorldOptions;
  readonly #listeners = new Set<(passage: Passage, source: TrafficSource) => void>();
  readonly #pastReplicas: Replica[] = [];
  #replicas = 0;

  private constructor(options: WorldOptions, gateways: Record<Link, TcpProxy>) {
    this.#options = options;
    this.services = options.services;
    this.gateways = gateways;
  }

  static async start(options: WorldOptions): Promise<World> {
    const { postgres, redis } = options.services;
    const world = new World(options, {
      postgres: await startTcpProxy({ targetUrl: postgres.url }),
      redis: await startTcpProxy({ targetUrl: redis.url }),
    });
    try {
      await world.#startAll();
    } catch (error) {
      await world.stop();
      throw error;
    }
    return world;
  }

  async startReplica(kind: ReplicaKind): Promise<Replica> {
    this.#replicas += 1;
    const replica = await Replica.start({
      kind,
      name: `${kind}-${this.#replicas}`,
      urls: { postgres: this.gateways.postgres.url, redis: this.gateways.redis.url },
      env: {
        COMFYUI_URLS: this.simulators.map(({ url }) => url).join(","),
        SERVER_LABELS: this.simulators.map(({ url, kit }) => `${url}=${kit.labels.join(",")}`).join("; "),
        ...schedulingEnv,
        DATA_DIR: this.#options.folder,
        LEASE_MS: String(this.#options.leaseMs),
        SERVER_GRACE_MS: String(this.#options.graceMs),
        LOG_LEVEL: "debug",
      },
      onPassage: (source, link, passage) => {
        this.#tell(passage, { replica: source, link });
      },
      onDeath: ({ name, lines }, how) => {
        this.deaths.push(`${name} ended by itself (${how}): ${lines.slice(-3).join(" | ")}`);
      },
    });
    this.#pastReplicas.push(replica);
    return replica;
  }

  /** Passes everything on any of the suite's networks to the listener. The returned function ends that. */
  observe(listener: (passage: Passage, source: TrafficSource) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Records a trouble that lasts until the returned function is called. */
  beginTrouble(kind: Trouble["kind"], serverUrl?: string): () => void {
    const trouble: Trouble = {
      kind,
      from: Date.now(),
      to: Number.POSITIVE_INFINITY,
      ...(serverUrl !== undefined && { serverUrl }),
    };
    this.troubles.push(trouble);
    return () => {
      trouble.to = Math.min(trouble.to, Date.now());
    };
  }

  /** The folder in which Genga stores outputs. */
  get outputFolder(): string {
    return join(this.#options.folder, "outputs");
  }

  /** The names of the running processes that the suite is not ending. */
  get living(): Set<string> {
    return new Set([...this.workers, ...this.apis].flatMap(({ name, isEnding }) => (isEnding ? [] : [name])));
  }

  /** The log lines of every process so far, by its name. */
  logs(): Map<string, readonly string[]> {
    const logs = new Map<string, readonly string[]>();
    for (const { name, lines } of this.#pastReplicas) logs.set(name, lines);
    for (const [index, { lines }] of this.simulators.entries()) logs.set(`simulator-${index}`, lines);
    return logs;
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.workers, ...this.apis].map(async (replica) => {
        replica.resume();
        await replica.kill();
      }),
    );
    await Promise.all(this.simulators.map((simulator) => simulator.close()));
    await Promise.all([this.gateways.postgres.close(), this.gateways.redis.close()]);
  }

  async #startAll(): Promise<void> {
    const { apis, workers, kits } = this.#options;
    const times = (count: number): undefined[] => Array.from({ length: count }, () => undefined);
    await collect(
      this.simulators,
      kits.map((kit, index) => this.#startSimulator(kit, index)),
    );
    await Promise.all([
      collect(
        this.apis,
        times(apis).map(() => this.startReplica("api")),
      ),
      collect(
        this.workers,
        times(workers).map(() => this.startReplica("worker")),
      ),
    ]);
  }

  #startSimulator(kit: ServerKit, index: number): Promise<SimulatedServer> {
    const { folder } = this.#options;
    return SimulatedServer.start({
      kit,
      args: [
        ...["--port", "0", "--data-dir", join(folder, `comfyui-${index}`), ...quickSimulator],
        ...["--checkpoints", kit.checkpoints.join(","), "--load-ms", String(loadMs)],
      ],
      executionLog: join(folder, `executions-${index}.log`),
      onPassage: (server, passage) => {
        this.#tell(passage, { server });
      },
      onDeath: (server, how) => {
        this.deaths.push(`${server.url} ended by itself (${how}): ${server.lines.slice(-3).join(" | ")}`);
      },
    });
  }

  #tell(passage: Passage, source: TrafficSource): void {
    this.sightings.add(passage, source);
    for (const listener of this.#listeners) listener(passage, source);
  }
}

/** Adds everything that was started to the list, so that it can be stopped even if something else did not start. */
async function collect<Item>(list: Item[], starting: Promise<Item>[]): Promise<void> {
  const results = await Promise.allSettled(starting);
  for (const result of results) if (result.status === "fulfilled") list.push(result.value);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
