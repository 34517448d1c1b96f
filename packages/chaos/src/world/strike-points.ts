import { type Passage } from "@genga/testing";
import { strikePoints, type Link, type StrikePoint } from "../plan/fault.ts";
import { type MemberKind } from "./member.ts";
import { type Passenger } from "./world.ts";

/** How a point in a job's life shows itself on a network. */
interface PointSign {
  on: { network: Link; of: MemberKind } | "comfyui";
  direction: Passage["direction"];
  text: RegExp;
  /** Strikes at what passes in the other direction next: the answer to what was seen. */
  atAnswer?: boolean;
}

const worker = { network: "postgres", of: "worker" } as const;

const signs: Readonly<Record<StrikePoint, PointSign>> = {
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
    text: /:default:(?:completed|failed)\r\n/,
  },
};

/** A sign may be cut by the border between two pieces of the stream. */
const carriedCharacters = 64;

/** Watches the networks for one point; says once that it has been reached. */
export class PointDetector {
  readonly #sign: PointSign;
  readonly #carried = new WeakMap<Passage["connection"], string>();
  readonly #awaited = new WeakSet<Passage["connection"]>();

  constructor(point: StrikePoint) {
    this.#sign = signs[point];
  }

  /** Whether the point is reached with this passage. */
  test(passage: Passage, passenger: Passenger): boolean {
    if (!this.#isOfInterest(passenger)) return false;
    const { connection, direction, data } = passage;
    if (direction !== this.#sign.direction) return this.#awaited.has(connection);
    const text = (this.#carried.get(connection) ?? "") + data.toString("latin1");
    this.#carried.set(connection, text.slice(-carriedCharacters));
    if (!this.#sign.text.test(text)) return false;
    if (this.#sign.atAnswer !== true) return true;
    this.#awaited.add(connection);
    return false;
  }

  #isOfInterest(passenger: Passenger): boolean {
    const { on } = this.#sign;
    if (on === "comfyui") return "server" in passenger;
    return "member" in passenger && passenger.link === on.network && passenger.member.kind === on.of;
  }
}

/** Whether every point shows itself at all: a sign that never appears is stale, and no strike waits for it in vain. */
export class PointSightings {
  readonly #detectors = new Map(strikePoints.map((point) => [point, new PointDetector(point)]));

  look(passage: Passage, passenger: Passenger): void {
    for (const [point, detector] of this.#detectors) {
      if (detector.test(passage, passenger)) this.#detectors.delete(point);
    }
  }

  get unseen(): StrikePoint[] {
    return [...this.#detectors.keys()];
  }
}
