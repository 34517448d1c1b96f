import {
  LimitReachedError,
  type Place,
  type PlaceKind,
  type Principal,
  type TenantAdmissions,
} from "@genga/jobs";
import { type Request, type RequestHandler, type Response } from "express";
import { principalOf } from "./access.ts";
import { type BodyMemory } from "../http/body-memory.ts";
import { bodyBytesMax } from "../http/error-mapping.ts";
import { type Metrics } from "../http/metrics.ts";
import { type KnownLimits } from "./known-limits.ts";
import { RefusedError } from "../http/problem-document.ts";
import { RequestLine, type PlaceOrUse } from "./request-line.ts";

export interface TenantAdmissionParts {
  limits: KnownLimits;
  admissions: TenantAdmissions;
  bodies: BodyMemory;
  /** Requests that wait for a place (`admitInTurn`). */
  waiting: Pick<Metrics["doorRequestsWaiting"], "inc" | "dec">;
}

/** Seconds after which a client should try again when a limit of this kind is reached. */
const retryAfterSeconds: Record<PlaceKind | "body-bytes-at-once", number> = {
  "requests-at-once": 1,
  "event-streams": 10,
  "body-bytes-at-once": 2,
};

/** Uploads of one tenant that this process receives at once: each fills the disk while it arrives, however slowly. */
const uploadsMax = 8;
/** Uploads of one tenant that wait in this process. Up to 64 KiB of each have arrived meanwhile. */
const uploadsWaitingMax = 1_000;
/** How long a request waits here in all. Node gives a request sixty seconds, its body included, which is read afterwards. */
const waitMsMax = 30_000;

/** Holds the requests of a tenant to its limits, before any body is read. */
export class TenantAdmission {
  readonly #parts: TenantAdmissionParts;
  readonly #places = new WeakMap<Response, Place>();
  /** What releases the memory of the request's body. */
  readonly #rooms = new WeakMap<Response, () => void>();
  /** Uploads under way by tenant. */
  readonly #uploads = new Map<string, number>();
  readonly #line = new RequestLine();
  /** Uploads that wait for others to end. */
  readonly #uploadLine = new RequestLine(uploadsWaitingMax);
  /** Until when requests may wait that have begun to. */
  readonly #waitUntil = new WeakMap<Response, number>();

  constructor(parts: TenantAdmissionParts) {
    this.#parts = parts;
  }

  /** Runs after authentication. What the request takes of the limits is released when its response ends. */
  readonly admit: RequestHandler = async (request, response, next) => {
    const { id } = principalOf(response).tenant;
    const { requestsPerMinute, requestsAtOnce: max } = await this.#parts.limits.of(id);
    const [full, place] = await Promise.all([
      this.#parts.admissions.countRequest(id, requestsPerMinute),
      this.#takePlace(id, max, response),
    ]);
    if (full !== null) throw tooMany(requestsPerMinute, full);
    if ("used" in place) throw noPlace("requests-at-once", max, place.used);
    if (await this.#hasRoomForBody(request, response, id)) next();
  };

  /**
   * As `admit`, for clients of servers that take any number of requests: one that is too much at once waits until others of the
   * tenant have ended, the first one first. Such clients take a refusal for the answer, and give a prompt up for lost.
   * @param guard runs again after a wait, in which the key may have been revoked; it throws, or calls `next` without an error
   * @param options.holdsBody the body is read into memory
   */
  admitInTurn(guard: RequestHandler, { holdsBody = true } = {}): RequestHandler {
    return async (request, response, next) => {
      if (!(await this.#hasTurn(request, response, guard))) return;
      if (!holdsBody || (await this.#hasRoomForBody(request, response, principalOf(response).tenant.id)))
        next();
    };
  }

  /** @returns false when the client has left */
  async #hasTurn(request: Request, response: Response, guard: RequestHandler): Promise<boolean> {
    const { id } = principalOf(response).tenant;
    const { requestsPerMinute, requestsAtOnce: max } = await this.#parts.limits.of(id);
    const take = (): Promise<PlaceOrUse> => this.#takePlace(id, max, response);
    const [full, first] = await Promise.all([
      this.#parts.admissions.countRequest(id, requestsPerMinute),
      this.#line.isEmpty(id) ? take() : { used: max },
    ]);
    if (full !== null) throw tooMany(requestsPerMinute, full);
    const place = "release" in first ? first : await this.#inLine(id, take, first.used, response);
    if (response.closed) return false;
    if ("used" in place) throw noPlace("requests-at-once", max, place.used);
    if (place !== first) await guard(request, response, () => undefined);
    return true;
  }

  async #inLine(
    tenantId: string,
    take: () => Promise<PlaceOrUse>,
    used: number,
    response: Response,
    line = this.#line,
  ): Promise<PlaceOrUse> {
    this.#parts.waiting.inc();
    try {
      return await line.wait(tenantId, take, {
        ...{ used, ms: this.#waitMsOf(response), leaving: leavingOf(response) },
      });
    } finally {
      this.#parts.waiting.dec();
    }
  }

  /** How much longer a request may wait, in whole milliseconds; it may have waited for something else before. */
  #waitMsOf(response: Response): number {
    const now = performance.now();
    const until = this.#waitUntil.get(response) ?? now + waitMsMax;
    this.#waitUntil.set(response, until);
    return Math.max(Math.ceil(until - now), 0);
  }

  /**
   * Gives back the place of a request that goes on in a line with bounds of its own, so that other requests of the tenant, such as
   * those that ask for the queue, do not wait for it as well.
   * @returns how long the request may wait there
   */
  waitElsewhere(response: Response): number {
    this.#giveBackPlace(response);
    return this.#waitMsOf(response);
  }

  #giveBackPlace(response: Response): void {
    this.#places.get(response)?.release();
    this.#line.noteFree(principalOf(response).tenant.id);
  }

  async #takePlace(tenantId: string, max: number, response: Response): Promise<PlaceOrUse> {
    const place = await this.#parts.admissions.takePlace("requests-at-once", tenantId, max);
    if ("release" in place) this.#releaseAtEnd(response, place);
    return place;
  }

  /** @returns false when the client has left, for which waiting for room may have taken long enough */
  async #hasRoomForBody(request: Request, response: Response, tenantId: string): Promise<boolean> {
    await this.#makeRoomForBody(request, response, tenantId);
    return !response.destroyed;
  }

  /**
   * Admits a request of an open route, as one of this principal.
   * @returns false when the client left meanwhile
   * @throws RefusedError when a limit of the tenant is reached
   */
  async admitAs(principal: Principal, request: Request, response: Response): Promise<boolean> {
    response.locals["principal"] = principal;
    const entry = { isAdmitted: false };
    await this.admit(request, response, () => {
      entry.isAdmitted = true;
    });
    return entry.isAdmitted;
  }

  /**
   * Takes one of the tenant's event streams and gives back the place of the request itself, and the memory of its body, which
   * must have been used by then.
   * @throws RefusedError when the tenant has as many streams open as it may have
   */
  async openStream(response: Response): Promise<void> {
    const { limits, admissions } = this.#parts;
    const { id } = principalOf(response).tenant;
    const { streamsMax } = await limits.of(id);
    const place = await admissions.takePlace("event-streams", id, streamsMax);
    if ("used" in place) throw noPlace("event-streams", streamsMax, place.used);
    this.#giveBackPlace(response);
    this.#rooms.get(response)?.();
    this.#releaseAtEnd(response, place);
  }

  /**
   * Receives an upload. It counts until it has ended here, even if its client has left before.
   * @throws RefusedError `too-many-bodies`
   */
  async receiving<Received>(tenantId: string, receive: () => Promise<Received>): Promise<Received> {
    return await receiveAt(this.#takeUpload(tenantId), receive);
  }

  /**
   * As `receiving`, but an upload that is too much at once waits until others of the tenant have ended here, the first one first.
   * While it waits, and from then on, it has no place among the requests of its tenant.
   */
  async receivingInTurn<Received>(
    tenantId: string,
    response: Response,
    receive: () => Promise<Received>,
  ): Promise<Received> {
    const take = (): Promise<PlaceOrUse> => Promise.resolve(this.#takeUpload(tenantId));
    const first = this.#uploadLine.isEmpty(tenantId) ? await take() : { used: uploadsMax };
    if ("used" in first) this.#giveBackPlace(response);
    const place =
      "release" in first ? first : await this.#inLine(tenantId, take, first.used, response, this.#uploadLine);
    return await receiveAt(place, receive);
  }

  #takeUpload(tenantId: string): PlaceOrUse {
    const used = this.#uploads.get(tenantId) ?? 0;
    if (used >= uploadsMax) return { used };
    this.#uploads.set(tenantId, used + 1);
    const release = (): void => {
      const left = (this.#uploads.get(tenantId) ?? 1) - 1;
      if (left === 0) this.#uploads.delete(tenantId);
      else this.#uploads.set(tenantId, left);
      this.#uploadLine.noteFree(tenantId);
    };
    return { release };
  }

  async #makeRoomForBody(request: Request, response: Response, tenantId: string): Promise<void> {
    const bytes = bodyBytesOf(request);
    if (bytes === 0) return;
    const room = await this.#parts.bodies.reserve(tenantId, bytes);
    if (typeof room === "function") {
      const release = (): void => {
        if (this.#rooms.delete(response)) room();
      };
      this.#rooms.set(response, release);
      if (response.closed) release();
      else response.once("close", release);
      return;
    }
    const { lacks, max, used } = room;
    const seconds = retryAfterSeconds["body-bytes-at-once"];
    if (lacks === "tenant-share")
      throw refusal({ limit: "body-bytes-at-once", max, used, wanted: bytes }, seconds);
    throw new RefusedError(
      "too-many-bodies",
      `This process is reading bodies of ${used} bytes in all already, of at most ${max}.`,
      {
        headers: { "retry-after": String(seconds), connection: "close" },
      },
    );
  }

  #releaseAtEnd(response: Response, place: Place): void {
    this.#places.set(response, place);
    const { id } = principalOf(response).tenant;
    const release = (): void => {
      place.release();
      this.#line.noteFree(id);
    };
    if (response.closed) release();
    else response.once("close", release);
  }
}

async function receiveAt<Received>(place: PlaceOrUse, receive: () => Promise<Received>): Promise<Received> {
  if ("used" in place) {
    throw new RefusedError(
      "too-many-bodies",
      `This process is receiving ${place.used} uploads of this tenant already, of at most ${uploadsMax}.`,
      { headers: { "retry-after": "2", connection: "close" } },
    );
  }
  try {
    return await receive();
  } finally {
    place.release();
  }
}

/** The bytes to reserve for a body. One without a length, or a compressed one, may become as large as any. */
function bodyBytesOf({ headers }: Request): number {
  if (headers["transfer-encoding"] !== undefined) return bodyBytesMax;
  const length = Number(headers["content-length"] ?? 0);
  if (!(length > 0)) return 0;
  const isPlain = (headers["content-encoding"] ?? "identity") === "identity";
  return isPlain ? Math.min(length, bodyBytesMax) : bodyBytesMax;
}

/** Aborted when the response ends or its client leaves. */
function leavingOf(response: Response): AbortSignal {
  const leaving = new AbortController();
  if (response.closed) leaving.abort();
  else {
    response.once("close", () => {
      leaving.abort();
    });
  }
  return leaving.signal;
}

function tooMany(max: number, { used, retryAfterMs }: { used: number; retryAfterMs: number }): RefusedError {
  return refusal({ limit: "requests-per-minute", max, used }, Math.ceil(retryAfterMs / 1000));
}

function noPlace(limit: PlaceKind, max: number, used: number): RefusedError {
  return refusal({ limit, max, used }, retryAfterSeconds[limit]);
}

function refusal(
  {
    wanted = 1,
    ...facts
  }: Omit<LimitReachedError, keyof Error | "code" | "retryable" | "wanted"> & { wanted?: number },
  seconds: number,
): RefusedError {
  const { message, limit, max, used } = new LimitReachedError({ ...facts, wanted });
  return new RefusedError("limit-reached", message, {
    headers: {
      "retry-after": String(Math.max(seconds, 1)),
      ...(limit === "body-bytes-at-once" && { connection: "close" }),
    },
    limit: { name: limit, max, used, wanted },
  });
}
