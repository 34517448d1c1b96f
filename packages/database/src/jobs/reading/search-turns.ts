import { StoreUnavailableError } from "@genga/jobs";

/** Of the ten connections of a process; the others are for those who submit, look at and run jobs. */
const searchesAtOnce = 3;
/** Of one tenant, behind the one that is under way. */
const waitingMax = 5;

interface Waiting {
  tenantId: string;
  begin: () => void;
}

/**
 * Searches for texts may take seconds each, so they take turns: one of each tenant at once, and few of all tenants together.
 * Whoever sends many waits for its own.
 */
export class SearchTurns {
  readonly #underWay = new Set<string>();
  readonly #waiting: Waiting[] = [];

  /** @throws StoreUnavailableError too many of the tenant's wait already */
  async take<Found>(tenantId: string, search: () => Promise<Found>): Promise<Found> {
    await this.#turn(tenantId);
    try {
      return await search();
    } finally {
      this.#underWay.delete(tenantId);
      this.#beginNext();
    }
  }

  async #turn(tenantId: string): Promise<void> {
    if (this.#waiting.filter((one) => one.tenantId === tenantId).length >= waitingMax) {
      throw new StoreUnavailableError(undefined, { fault: "busy", wasRefused: true });
    }
    await new Promise<void>((resolve) => {
      this.#waiting.push({ tenantId, begin: resolve });
      this.#beginNext();
    });
  }

  #beginNext(): void {
    while (this.#underWay.size < searchesAtOnce) {
      const index = this.#waiting.findIndex(({ tenantId }) => !this.#underWay.has(tenantId));
      const [next] = index < 0 ? [] : this.#waiting.splice(index, 1);
      if (next === undefined) return;
      this.#underWay.add(next.tenantId);
      next.begin();
    }
  }
}
