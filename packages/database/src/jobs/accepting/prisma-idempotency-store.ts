import {
  type ClaimOutcome,
  type IdempotencyClaim,
  type IdempotencyKey,
  type IdempotencyStore,
  type KeyedRequest,
} from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { claimKey, releaseKey, renewKey } from "./idempotency-keys.ts";

/** Maps the errors of all statements about Idempotency-Keys. */
export class PrismaIdempotencyStore implements IdempotencyStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  claim(key: IdempotencyKey, request: KeyedRequest, claimMs: number): Promise<ClaimOutcome> {
    return withMappedErrors(() => claimKey(this.#database, key, request, claimMs));
  }

  renew(claim: IdempotencyClaim, claimMs: number): Promise<void> {
    return withMappedErrors(() => renewKey(this.#database, claim, claimMs));
  }

  release(claim: IdempotencyClaim): Promise<void> {
    return withMappedErrors(() => releaseKey(this.#database, claim));
  }
}
