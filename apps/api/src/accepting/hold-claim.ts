import { createHash } from "node:crypto";
import {
  ClaimLostError,
  StoreUnavailableError,
  type IdempotencyClaim,
  type IdempotencyStore,
} from "@genga/jobs";
import { RefusedError } from "../http/problem-document.ts";

/** How long a key stays with a request whose process has died. While it lives, it renews its claim. */
export const claimMs = 10_000;
const renewEveryMs = 3_000;
const retryAfterSeconds = 1;

/** The Comfy API v2, whose keys work once, and are known for a day. */
const singleUseDoor = "comfy";
const knownMs = 24 * 60 * 60_000;

/**
 * Claims a key that works once: whoever sends it again is refused, whether or not the first request has been answered.
 * @throws RefusedError `idempotency-key-reused`  @throws StoreUnavailableError
 */
export async function claimSingleUse(
  idempotency: IdempotencyStore,
  { tenantId, key, route }: { tenantId: string; key: string; route: string },
): Promise<IdempotencyClaim> {
  const named = { tenantId, door: singleUseDoor, keyHash: sha256(key), knownMs };
  const claimed = await beforeAnything(idempotency.claim(named, { route, bodyHash: "" }, claimMs));
  if (claimed.outcome === "claimed") return claimed.claim;
  throw new RefusedError(
    "idempotency-key-reused",
    "This Idempotency-Key was used before. Keys work once, for a day; look for what the first request made.",
  );
}

/**
 * Keeps the key while the work goes on, and gives it back if the work fails without having recorded anything under it.
 * @throws RefusedError `request-under-way` another request has the key now
 */
export async function holdClaim<Result>(
  idempotency: IdempotencyStore,
  claim: IdempotencyClaim,
  work: () => Promise<Result>,
): Promise<Result> {
  // A renewal that fails is followed by the next one. Without any the key may be lost, which the work notices in its end.
  const renewals = setInterval(
    () => void idempotency.renew(claim, claimMs).catch(() => undefined),
    renewEveryMs,
  );
  try {
    return await work();
  } catch (error) {
    // If PostgreSQL is away, the key is free again when the claim runs out.
    await idempotency.release(claim).catch(() => undefined);
    throw error instanceof ClaimLostError ? underWay() : error;
  } finally {
    clearInterval(renewals);
  }
}

/** Whatever fails here, nothing was stored. */
export async function beforeAnything<Result>(step: Promise<Result>): Promise<Result> {
  try {
    return await step;
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    const { cause, fault, wasRefused } = error;
    throw new StoreUnavailableError(cause, { fault, wasRefused, effect: "none" });
  }
}

export function underWay(): RefusedError {
  return new RefusedError(
    "request-under-way",
    "A request with this Idempotency-Key has not been answered yet. Repeat this one in a moment.",
    { headers: { "retry-after": String(retryAfterSeconds) } },
  );
}

export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
