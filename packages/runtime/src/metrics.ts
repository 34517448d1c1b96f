import { collectDefaultMetrics, Registry } from "prom-client";

/**
 * A fresh Prometheus registry for one process, with the process's own figures (memory, CPU, event loop) in it.
 * Every series carries the label `service`.
 */
export function createMetricsRegistry(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  return registry;
}
