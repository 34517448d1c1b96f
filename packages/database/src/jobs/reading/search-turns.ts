import { StoreUnavailableError } from "@genga/jobs";

/**
 * How many of a process's ten connections searches may use; the others are for submitting, reading and running jobs.
 */
const searchesAtOnce = 3;
/** How many more searches of one tenant may wait behind its running one. */
const waitingMax = 5;

interface Waiting {
  tenantId: string;
  begin: () => void;
}

/**
 * A text search may take seconds, so searches take turns: one of each tenant at a time, and few of all tenants
 * together. A tenant that sends many searches waits only for its own.
 */
export class SearchTurns {
  readonly #underWay = new Set<string>();
  readonly #waiting: Waiting[] = [];

  /** @throws StoreUnavailableError too many searches of the tenant are waiting already */
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
