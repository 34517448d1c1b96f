/** @jest-config-loader esbuild-register */
import { type Config } from "jest";

const shared = {
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      { jsc: { target: "es2022", parser: { syntax: "typescript" } }, module: { type: "es6" } },
    ],
  },
} satisfies Config;

const config: Config = {
  // Tests wait for signals, not for the clock; this only ends one that hangs, also on a busy machine.
  testTimeout: 180_000,
  testSequencer: "<rootDir>/apps/standalone/src/testing/longest-first.mjs",
  projects: [
    {
      ...shared,
      displayName: "unit",
      testMatch: ["<rootDir>/{apps,packages}/*/src/**/*.test.ts", "<rootDir>/benchmarks/**/*.test.ts"],
    },
    {
      ...shared,
      displayName: "integration",
      testMatch: ["<rootDir>/{apps,packages}/*/test/**/*.test.ts"],
      testPathIgnorePatterns: ["/node_modules/", "/apps/standalone/test/acceptance/"],
    },
    {
      ...shared,
      displayName: "acceptance",
      testMatch: ["<rootDir>/apps/standalone/test/acceptance/**/*.test.ts"],
    },
  ],
};

export default config;
