import { type Remarks } from "./workflow-resolver.ts";

/** A client's Idempotency-Key: within its tenant and the API that it came to. The key itself is stored nowhere. */
export interface IdempotencyKey {
  tenantId: string;
  /** The API that the request came to, such as `anime`. */
  door: string;
  /** SHA-256 of the key, hexadecimal. */
  keyHash: string;
  /** How long the key is known after its request was accepted; absent = until a day after the removal of its job or batch. */
  knownMs?: number;
}

/** The request that a key came with. Two requests are the same if both fields are. */
export interface KeyedRequest {
  route: string;
  /** SHA-256 of the decoded body, hexadecimal. */
  bodyHash: string;
}

/** A key that one request has, so that no other request with the key can be accepted meanwhile. */
export interface IdempotencyClaim extends IdempotencyKey {
  claimId: string;
}

export type ClaimOutcome =
  | { outcome: "claimed"; claim: IdempotencyClaim }
  /** Another request with the key has not been answered yet. */
  | { outcome: "under-way" }
  /** The key came with another request before. */
  | { outcome: "other-request" }
  /** The same request was accepted; `isRemoved`: its job or batch was removed since. */
  | { outcome: "accepted"; resourceId: string; remarks: Remarks; isRemoved: boolean };

/**
 * Remembers which requests with an Idempotency-Key were accepted. The transaction that accepts the jobs also records them
 * under the key (`JobRequests.insertJobs`), so that both are true or neither is. Every method throws
 * `StoreUnavailableError` when the database cannot be reached.
 */
export interface IdempotencyStore {
  /** @param claimMs how long the request may have the key; unless it renews the claim */
  claim(key: IdempotencyKey, request: KeyedRequest, claimMs: number): Promise<ClaimOutcome>;
  /** Lets the request have the key for `claimMs` from now, if it still has it. */
  renew(claim: IdempotencyClaim, claimMs: number): Promise<void>;
  /** Gives the key back: the request was refused, and refusals are not remembered. Does nothing once jobs were accepted. */
  release(claim: IdempotencyClaim): Promise<void>;
}
