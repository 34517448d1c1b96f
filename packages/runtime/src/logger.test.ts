import { expect, test } from "@jest/globals";
import { createLogger } from "./logger.ts";

test("a logger obeys its level and names its service", () => {
  const log = createLogger({ name: "api", level: "warn" });
  expect(log.isLevelEnabled("info")).toBe(false);
  expect(log.bindings()).toMatchObject({ service: "api" });
});
