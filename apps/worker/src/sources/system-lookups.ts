import { lookup } from "node:dns/promises";
import pTimeout from "p-timeout";

export type LookUpFamily = (host: string, family: 4 | 6) => Promise<readonly string[]>;

export interface SystemLookupsOptions {
  /** How long one name may take, from the beginning of its own lookup. */
  timeoutMs: number;
  lookUp?: LookUpFamily;
}

/** The lookups at once. Each blocks a thread, for long while DNS is away, and files need some of the four threads as well. */
const lookupsMax = 2;
/** So many of them may be of names that failed last. */
const doubtfulMax = 1;

/**
 * Looks names up as the system does. A lookup cannot be ended: one that takes too long fails for its caller, and keeps
 * its thread. Names that failed or took too long share one place, so that they keep no other name waiting.
 */
export class SystemLookups {
  readonly #timeoutMs: number;
  readonly #lookUp: LookUpFamily;
  readonly #running = new Map<string, Promise<readonly string[]>>();
  readonly #doubtful = new Set<string>();
  #waiting: { host: string; begin: () => void }[] = [];

  constructor({ timeoutMs, lookUp = lookUpBySystem }: SystemLookupsOptions) {
    this.#timeoutMs = timeoutMs;
    this.#lookUp = lookUp;
  }

  /** The addresses of the name. Not to be called again before it has answered. @throws Error with a code */
  async addressesOf(host: string): Promise<readonly string[]> {
    // One that took too long may still run.
    const lookup = this.#running.get(host) ?? (await this.#turn(host)).begun;
    try {
      const found = await pTimeout(lookup, {
        milliseconds: this.#timeoutMs,
        message: new LookupTimeout(),
      });
      this.#doubtful.delete(host);
      return found;
    } catch (error) {
      this.#doubtful.add(host);
      throw error;
    } finally {
      this.#beginNext();
    }
  }

  /** Begins the lookup when it has its turn. */
  #turn(host: string): Promise<{ begun: Promise<readonly string[]> }> {
    return new Promise((resolve) => {
      const begin = (): void => {
        const begun = oneFamily((family) => this.#lookUp(host, family));
        const end = (): void => {
          this.#running.delete(host);
          this.#beginNext();
        };
        this.#running.set(host, begun);
        begun.then(end, end);
        resolve({ begun });
      };
      this.#waiting.push({ host, begin });
      this.#beginNext();
    });
  }

  #beginNext(): void {
    while (this.#running.size < lookupsMax) {
      const doubtful = [...this.#running.keys()].filter((host) => this.#doubtful.has(host)).length;
      const mayBegin = ({ host }: { host: string }): boolean =>
        doubtful < doubtfulMax || !this.#doubtful.has(host);
      const next = this.#waiting.find(mayBegin);
      if (next === undefined) return;
      this.#waiting = this.#waiting.filter((each) => each !== next);
      next.begin();
    }
  }
}

class LookupTimeout extends Error {
  readonly code = "ETIMEOUT";
}

/**
 * The IPv4 addresses, or if there are none, the IPv6 addresses. Most machines that have both are known by both, and one
 * ComfyUI must not count as two servers.
 */
export async function oneFamily(
  lookUp: (family: 4 | 6) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const addresses = await lookUp(4).catch(noneOrError);
  return addresses.length > 0 ? addresses : await lookUp(6);
}

/** That a name has no address of this family is an answer; any other error may hide addresses. */
function noneOrError(error: unknown): readonly string[] {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  if (code === "ENODATA" || code === "ENOTFOUND") return [];
  throw error;
}

const lookUpBySystem: LookUpFamily = async (host, family) => {
  const found = await lookup(host, { all: true, family });
  return found.map(({ address }) => address);
};
