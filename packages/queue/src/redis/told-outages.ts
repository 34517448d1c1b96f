/** A pino logger fits. */
interface OutageLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/**
 * What is logged of outages of Redis. A process has several connections, which usually break and come back together, so
 * one line tells the begin of an outage and one its end.
 */
export class ToldOutages {
  readonly #logger: OutageLogger;
  readonly #broken = new Set<object>();

  constructor(logger: OutageLogger) {
    this.#logger = logger;
  }

  /** The connection broke, or cannot be made. May be called again and again. */
  noteBroken(connection: object, purpose: string, error: unknown): void {
    if (this.#broken.size === 0)
      this.#logger.warn({ purpose, err: error }, "Redis is not reachable; reconnecting until it is.");
    this.#broken.add(connection);
  }

  noteReady(connection: object): void {
    if (this.#broken.delete(connection) && this.#broken.size === 0) this.#logger.info({}, "Redis is back.");
  }

  /** The connection is not wanted any more. */
  forget(connection: object): void {
    this.#broken.delete(connection);
  }
}

const byLogger = new WeakMap<OutageLogger, ToldOutages>();

/** All connections with one logger share what they tell. */
export function toldOutagesOf(logger: OutageLogger): ToldOutages {
  const known = byLogger.get(logger) ?? new ToldOutages(logger);
  byLogger.set(logger, known);
  return known;
}
