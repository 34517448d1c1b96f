import { Gauge, type Registry } from "prom-client";

/** A service that does not answer within this time counts as away. */
const answerTimeoutMs = 2_000;

/** @param ask resolves when the service has answered */
export type AskedService = () => Promise<unknown>;

/**
 * Asks each service at every scrape whether it answers and how long that takes, from this process: with the wait for a
 * free connection, and with this process's own delays.
 */
export function registerDependencyMetrics(
  registry: Registry,
  services: Readonly<Record<"database" | "redis", AskedService>>,
): void {
  let asking: Promise<void> | undefined;
  // Both figures are collected at the same time, and come from the same answers.
  const collect = (): Promise<void> =>
    (asking ??= askAll().finally(() => {
      asking = undefined;
    }));
  const shared = { labelNames: ["dependency"] as const, registers: [registry], collect };
  const latency = new Gauge({
    ...shared,
    name: "genga_dependency_latency_seconds",
    help: "How long the service took to answer this process at the scrape; absent while it does not answer.",
  });
  const up = new Gauge({
    ...shared,
    name: "genga_dependency_up",
    help: "1 when the service answered this process at the scrape, 0 when it did not within 2 s.",
  });
  const askAll = async (): Promise<void> => {
    await Promise.all(
      Object.entries(services).map(async ([dependency, ask]) => {
        const startedAt = performance.now();
        const hasAnswered = await answersInTime(ask);
        up.set({ dependency }, Number(hasAnswered));
        if (hasAnswered) latency.set({ dependency }, (performance.now() - startedAt) / 1_000);
        else latency.remove({ dependency });
      }),
    );
  };
}

async function answersInTime(ask: AskedService): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<false>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
    }, answerTimeoutMs);
  });
  const answer = ask().then(
    () => true,
    () => false,
  );
  const hasAnswered = await Promise.race([answer, tooLate]);
  clearTimeout(timer);
  return hasAnswered;
}
