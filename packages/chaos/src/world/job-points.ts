import { type Passage } from "@genga/testing";
import { jobPoints, type Link, type JobPoint } from "../plan/fault.ts";
import { type ReplicaKind } from "./replica.ts";
import { type TrafficSource } from "./traffic-source.ts";

/** The bytes by which a point in a job's life is recognised on a network. */
interface PointSign {
  on: { network: Link; of: ReplicaKind } | "comfyui";
  direction: Passage["direction"];
  text: RegExp;
  /** The point is reached with the next bytes in the other direction, which answer the recognised bytes. */
  atAnswer?: boolean;
}

const worker = { network: "postgres", of: "worker" } as const;

const signs: Readonly<Record<JobPoint, PointSign>> = {
  "accept-committed": {
    on: { network: "postgres", of: "api" },
    direction: "to-target",
    text: /INSERT INTO batches/,
    atAnswer: true,
  },
  "claim-committed": {
    on: worker,
    direction: "to-target",
    text: /INSERT INTO job_attempts/,
    atAnswer: true,
  },
  "before-post": { on: "comfyui", direction: "to-target", text: /POST (?:\/api)?\/prompt / },
  "after-post": { on: "comfyui", direction: "to-target", text: /POST (?:\/api)?\/prompt /, atAnswer: true },
  executing: { on: "comfyui", direction: "to-client", text: /"execution_start"/ },
  completion: { on: "comfyui", direction: "to-client", text: /"execution_success"/ },
  saving: { on: "comfyui", direction: "to-target", text: /GET (?:\/api)?\/view\?/ },
  downloading: { on: "comfyui", direction: "to-target", text: /GET (?:\/api)?\/view\?/, atAnswer: true },
  "before-commit": { on: worker, direction: "to-target", text: /UPDATE job_attempts SET finished_at/ },
  committed: {
    on: worker,
    direction: "to-target",
    text: /UPDATE job_attempts SET finished_at/,
    atAnswer: true,
  },
  "ticket-ack": {
    on: { network: "redis", of: "worker" },
    direction: "to-target",
    text: /:(?:completed|failed)\r\n/,
  },
};

/** The bytes may be split between two pieces of the stream, so the end of each piece is kept. */
const carriedCharacters = 64;

/** Watches the networks for one point, and reports once that it was reached. */
export class PointDetector {
  readonly #sign: PointSign;
  readonly #carried = new WeakMap<Passage["connection"], string>();
  readonly #awaited = new WeakSet<Passage["connection"]>();

  constructor(point: JobPoint) {
    this.#sign = signs[point];
  }

  /** Whether the point is reached with this passage. */
  test(passage: Passage, source: TrafficSource): boolean {
    if (!this.#isOfInterest(source)) return false;
    const { connection, direction, data } = passage;
    if (direction !== this.#sign.direction) return this.#awaited.has(connection);
    const text = (this.#carried.get(connection) ?? "") + data.toString("latin1");
    this.#carried.set(connection, text.slice(-carriedCharacters));
    if (!this.#sign.text.test(text)) return false;
    if (this.#sign.atAnswer !== true) return true;
    this.#awaited.add(connection);
    return false;
  }

  #isOfInterest(source: TrafficSource): boolean {
    const { on } = this.#sign;
    if (on === "comfyui") return "server" in source;
    return "replica" in source && source.link === on.network && source.replica.kind === on.of;
  }
}

/**
 * Records which points were recognised at all. If a point never is, its sign is out of date, and a fault would wait for
 * it in vain.
 */
export class PointSightings {
  readonly #detectors = new Map(jobPoints.map((point) => [point, new PointDetector(point)]));

  add(passage: Passage, source: TrafficSource): void {
    for (const [point, detector] of this.#detectors) {
      if (detector.test(passage, source)) this.#detectors.delete(point);
    }
  }

  get unseen(): JobPoint[] {
    return [...this.#detectors.keys()];
  }
}
