import { expect, test } from "@jest/globals";
import { createMetricsRegistry } from "./metrics.ts";

test("two registries in one process do not collide, and each names its service", async () => {
  const [api, worker] = [createMetricsRegistry("api"), createMetricsRegistry("worker")];
  expect(await api.metrics()).toContain('service="api"');
  expect(await worker.metrics()).toContain('service="worker"');
});
