import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";
import { z } from "zod";

const project = join(import.meta.dirname, "../../..");
const text = readFileSync(join(project, "docker-compose.yml"), "utf8");
const serviceSchema = z.object({
  image: z.string(),
  build: z.object({ dockerfile: z.string(), target: z.string().optional() }).optional(),
  command: z.union([z.string(), z.array(z.string())]).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.union([z.string(), z.object({ source: z.string(), target: z.string() })])).default([]),
  ports: z.array(z.string()).default([]),
  secrets: z.array(z.union([z.string(), z.object({ source: z.string(), target: z.string() })])).default([]),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
  restart: z.string(),
  read_only: z.boolean().default(false),
  tmpfs: z.array(z.string()).default([]),
  cap_drop: z.array(z.string()).default([]),
});
const { services } = z
  .object({ services: z.record(z.string(), serviceSchema) })
  .parse(parse(text, { merge: true }));
const ours = Object.entries(services).filter(([, { build }]) => build !== undefined);
const settingsOf = (name: string): string[] => Object.keys(services[name]!.environment);

test("every service has a health check, or runs once", () => {
  const silent = Object.entries(services).filter(([, { healthcheck }]) => healthcheck === undefined);
  expect(silent.map(([name, { restart }]) => [name, restart])).toEqual([["migrate", "no"]]);
});

test("each health check uses the port that its service listens on", () => {
  const asked = (name: string): string => services[name]!.healthcheck!.test.join(" ");
  const { PORT, WORKER_PORT } = { ...services["api"]!.environment, ...services["worker"]!.environment };
  expect(asked("api")).toContain(`http://127.0.0.1:${PORT!}/api/anime/health/ready`);
  expect(asked("worker")).toContain(`http://127.0.0.1:${WORKER_PORT!}/health'`);
  const { command } = services["simulator"]!;
  expect(asked("simulator")).toContain(
    `http://127.0.0.1:${command!.at(command!.indexOf("--port") + 1)!}/queue`,
  );
  // Without its password Redis says NOAUTH, and the redis-cli that hears it says that all is well.
  expect(asked("redis")).toContain('REDISCLI_AUTH="$$REDIS_PASSWORD" redis-cli ping | grep -q PONG');
  expect(services["redis"]!.environment).toHaveProperty("REDIS_PASSWORD");
});

test("only the API can be reached from other machines, and Grafana from this one", () => {
  const open = Object.entries(services).filter(([, { ports }]) => ports.length > 0);
  expect(open.map(([name]) => name)).toEqual(["api", "grafana"]);
  for (const port of services["grafana"]!.ports) expect(port).toMatch(/^127\.0\.0\.1:/);
});

test("no password and no key has a default", () => {
  const secrets = [...text.matchAll(/\$\{([A-Z_]*(?:PASSWORD|API_KEYS?))([^A-Z_].{0,3})/g)];
  const required = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "GENGA_API_KEY"];
  const further = ["PROMETHEUS_API_KEY", "API_KEYS"];
  expect(new Set(secrets.map(([, name]) => name))).toEqual(new Set([...required, ...further]));
  // `:?` stops at once where one is missing; `:+` adds further keys where they are set.
  for (const [whole, name = "", rest] of secrets)
    expect({ whole, rest }).toEqual({
      whole,
      rest: expect.stringMatching(required.includes(name) ? /^:\?set?/ : /^(:\+,|\}\})/),
    });
  expect(services["postgres"]!.environment).not.toHaveProperty("POSTGRES_HOST_AUTH_METHOD");
  expect(text).toContain("requirepass ${REDIS_PASSWORD:?");
});

test("only the API gets its keys, and no service gets a secret that it does not need", () => {
  // Other containers have them emptied, because .env may hold them.
  const holders = Object.entries(services).filter(([, { environment }]) =>
    Object.entries(environment).some(([name, value]) => name.includes("API_KEY") && value !== ""),
  );
  expect(holders.map(([name]) => name)).toEqual(["api"]);
  const readers = Object.entries(services).filter(([, { secrets }]) => secrets.length > 0);
  expect(readers.map(([name]) => name)).toEqual(["prometheus", "grafana"]);
  expect(settingsOf("migrate")).toEqual(["DATABASE_URL"]);
  expect(settingsOf("simulator")).toEqual([]);
  expect(settingsOf("worker")).toEqual(expect.arrayContaining(["DATABASE_URL", "REDIS_URL", "COMFYUI_URLS"]));
});

const volumesOf: Readonly<Record<string, readonly string[]>> = {
  api: ["data:/var/lib/genga"],
  worker: ["data:/var/lib/genga"],
  "file-cleaner": ["comfyui-input:/scratch/input", "comfyui-output:/scratch/output"],
};

test("Genga's containers write only to /tmp and to their volumes, and have no capabilities", () => {
  expect(ours.map(([name]) => name)).toEqual(["migrate", "api", "worker", "simulator", "file-cleaner"]);
  for (const [name, { read_only, tmpfs, cap_drop, volumes }] of ours) {
    expect({ name, read_only, tmpfs, cap_drop }).toEqual({
      name,
      read_only: true,
      tmpfs: ["/tmp"],
      cap_drop: ["ALL"],
    });
    expect(volumes).toEqual(volumesOf[name] ?? []);
  }
});

test("each container is built from the part of the Dockerfile that has its entry point", () => {
  expect(Object.fromEntries(ours.map(([name, { build, image }]) => [name, [build!.target, image]]))).toEqual({
    migrate: ["service", "genga:local"],
    api: ["service", "genga:local"],
    worker: ["service", "genga:local"],
    simulator: ["simulator", "genga-simulator:local"],
    "file-cleaner": ["service", "genga:local"],
  });
});
