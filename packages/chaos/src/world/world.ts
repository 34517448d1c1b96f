import { join } from "node:path";
import { quickSimulator } from "@genga/testing";
import { startTcpProxy, type Passage, type TcpProxy } from "@genga/testing";
import { type Link } from "../plan/fault.ts";
import { type Trouble } from "../history/history.ts";
import { Member, type MemberKind } from "./member.ts";
import { SimulatedServer } from "./simulated-server.ts";
import { PointSightings } from "./strike-points.ts";

/** A real server that can be ended at once and started again, at its address and with its data. */
export interface CrashableServer {
  readonly url: string;
  crash(how: "SIGKILL" | "SIGQUIT"): Promise<void>;
  startAgain(): Promise<void>;
}

export interface Services {
  /** Its URL names a migrated database that is the suite's own, and an account that is the product's. */
  postgres: CrashableServer & {
    /** Whether it refuses the product's connections, and ends those that there are. */
    beFull(isFull: boolean): Promise<void>;
    /** Lets every statement on jobs wait for so long. */
    lockJobs(ms: number): Promise<void>;
  };
  redis: CrashableServer & {
    flush(): Promise<void>;
    /** Whether it refuses every write for want of memory. */
    beFull(isFull: boolean): Promise<void>;
    /** Tickets that wait or are held: state and id of each. */
    liveTickets(): Promise<string[]>;
  };
}

/** Whose traffic it is: an API's or a worker's with a store, or anybody's with a server. */
export type Passenger = { member: Member; link: Link } | { server: SimulatedServer };

export interface WorldOptions {
  services: Services;
  folder: string;
  apis: number;
  workers: number;
  simulators: number;
  leaseMs: number;
  graceMs: number;
}

/** All of Genga as processes, every network between them in the suite's hands. */
export class World {
  readonly services: Services;
  readonly apis: Member[] = [];
  readonly workers: Member[] = [];
  readonly simulators: SimulatedServer[] = [];
  readonly gateways: Readonly<Record<Link, TcpProxy>>;
  readonly troubles: Trouble[] = [];
  readonly deaths: string[] = [];
  /** Which points in a job's life have shown themselves. */
  readonly sightings = new PointSightings();
  /** Targets that are under a fault; two faults never work on one at once. */
  readonly busy = new Set<string>();
  readonly #options: WorldOptions;
  readonly #listeners = new Set<(passage: Passage, passenger: Passenger) => void>();
  readonly #pastMembers: Member[] = [];
  #members = 0;

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

  async startMember(kind: MemberKind): Promise<Member> {
    this.#members += 1;
    const member = await Member.start({
      kind,
      name: `${kind}-${this.#members}`,
      urls: { postgres: this.gateways.postgres.url, redis: this.gateways.redis.url },
      env: {
        COMFYUI_URLS: this.simulators.map(({ url }) => url).join(","),
        DATA_DIR: this.#options.folder,
        LEASE_MS: String(this.#options.leaseMs),
        SERVER_GRACE_MS: String(this.#options.graceMs),
        LOG_LEVEL: "debug",
      },
      onPassage: (passenger, link, passage) => {
        this.#tell(passage, { member: passenger, link });
      },
      onDeath: ({ name, lines }, how) => {
        this.deaths.push(`${name} ended by itself (${how}): ${lines.slice(-3).join(" | ")}`);
      },
    });
    this.#pastMembers.push(member);
    return member;
  }

  /** Everything that passes any network of ours. Call the answer to stop. */
  observe(listener: (passage: Passage, passenger: Passenger) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Notes a trouble that lasts until the answer is called. */
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

  /** Where the product keeps what its jobs have made. */
  get outputFolder(): string {
    return join(this.#options.folder, "outputs");
  }

  /** Names of the processes that run and that nobody is ending. */
  get living(): Set<string> {
    return new Set([...this.workers, ...this.apis].flatMap(({ name, isEnding }) => (isEnding ? [] : [name])));
  }

  /** Log lines of every process that ever was, by its name. */
  logs(): Map<string, readonly string[]> {
    const logs = new Map<string, readonly string[]>();
    for (const { name, lines } of this.#pastMembers) logs.set(name, lines);
    for (const [index, { lines }] of this.simulators.entries()) logs.set(`simulator-${index}`, lines);
    return logs;
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.workers, ...this.apis].map(async (member) => {
        member.resume();
        await member.kill();
      }),
    );
    await Promise.all(this.simulators.map((simulator) => simulator.close()));
    await Promise.all([this.gateways.postgres.close(), this.gateways.redis.close()]);
  }

  async #startAll(): Promise<void> {
    const { apis, workers, simulators } = this.#options;
    const times = (count: number): undefined[] => Array.from({ length: count }, () => undefined);
    await collect(
      this.simulators,
      times(simulators).map((_, index) => this.#startSimulator(index)),
    );
    await Promise.all([
      collect(
        this.apis,
        times(apis).map(() => this.startMember("api")),
      ),
      collect(
        this.workers,
        times(workers).map(() => this.startMember("worker")),
      ),
    ]);
  }

  #startSimulator(index: number): Promise<SimulatedServer> {
    const { folder } = this.#options;
    return SimulatedServer.start({
      args: ["--port", "0", "--data-dir", join(folder, `comfyui-${index}`), ...quickSimulator],
      executionLog: join(folder, `executions-${index}.log`),
      onPassage: (server, passage) => {
        this.#tell(passage, { server });
      },
      onDeath: (server, how) => {
        this.deaths.push(`${server.url} ended by itself (${how}): ${server.lines.slice(-3).join(" | ")}`);
      },
    });
  }

  #tell(passage: Passage, passenger: Passenger): void {
    this.sightings.look(passage, passenger);
    for (const listener of this.#listeners) listener(passage, passenger);
  }
}

/** Adds what could be started to the list, so that it can be stopped also when something else could not. */
async function collect<Item>(list: Item[], starting: Promise<Item>[]): Promise<void> {
  const results = await Promise.allSettled(starting);
  for (const result of results) if (result.status === "fulfilled") list.push(result.value);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
