import { existsSync, readFileSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { findPythonTool } from "@genga/testing";
import { parse } from "yaml";
import { z } from "zod";
import { project } from "./manifests.ts";

// docker-compose.yml, read by Docker Compose itself, and the Dockerfile, read by hadolint. Neither needs a Docker daemon.

const tool = (name: string): ReturnType<typeof findPythonTool> =>
  findPythonTool({ name, requirements: join(import.meta.dirname, `tools/${name}.txt`) });
const compose = await tool("docker-compose");
const hadolint = await tool("hadolint");
const skipped = (found: Awaited<typeof compose>): string =>
  "reason" in found ? ` (skipped: ${found.reason})` : "";

const passwords = { GENGA_API_KEY: "a-key", POSTGRES_PASSWORD: "one", REDIS_PASSWORD: "two" };
const serviceSchema = z.looseObject({
  image: z.string(),
  build: z.unknown().optional(),
  profiles: z.array(z.string()).default([]),
  container_name: z.string().optional(),
  hostname: z.string().optional(),
  environment: z.record(z.string(), z.string().nullable()).default({}),
  ports: z.array(z.looseObject({ target: z.number() })).default([]),
  volumes: z
    .array(z.looseObject({ type: z.string(), source: z.string().default(""), target: z.string() }))
    .default([]),
  secrets: z.array(z.looseObject({ source: z.string(), target: z.string().optional() })).default([]),
});
const configSchema = z.looseObject({ services: z.record(z.string(), serviceSchema) });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-compose-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const describedCompose = "reason" in compose ? describe.skip : describe;
describedCompose(`Docker Compose${skipped(compose)}`, () => {
  /** `docker compose config`, with no other settings than those given. */
  async function config(
    env: Record<string, string>,
    args: readonly string[] = [],
    file = join(project, "docker-compose.yml"),
  ): Promise<{ code: number | null; said: string }> {
    if ("reason" in compose) throw new Error(compose.reason);
    const common = ["--env-file", "/dev/null", "--project-directory", project, "--file", file];
    return compose.run([...common, ...args], { env: { COMPOSE_PROFILES: "", ...env } });
  }

  let services: z.infer<typeof configSchema>["services"];
  beforeAll(async () => {
    const output = join(folder, "config.json");
    const profiles = ["--profile", "*", "config", "--format=json", "--output", output];
    expect(await config(passwords, profiles)).toEqual({ code: 0, said: "" });
    ({ services } = configSchema.parse(JSON.parse(await readFile(output, "utf8"))));
  });

  test("takes the file with each profile, and no misspelled one", async () => {
    const profiles = new Set(Object.values(services).flatMap((service) => service.profiles));
    expect([...profiles].toSorted()).toEqual(["gpu", "monitoring", "simulator"]);
    for (const profile of ["", ...profiles])
      expect(await config({ ...passwords, COMPOSE_PROFILES: profile }, ["config", "--quiet"])).toEqual({
        code: 0,
        said: "",
      });
    const text = readFileSync(join(project, "docker-compose.yml"), "utf8");
    const wrong = join(folder, "wrong.yml");
    await writeFile(wrong, text.replace("stop_grace_period:", "stop_grace_time:"));
    const { code, said } = await config(passwords, ["config", "--quiet"], wrong);
    expect(code).not.toBe(0);
    expect(said).toContain("stop_grace_time");
  });

  test("starts nothing without the passwords, and says which one is missing", async () => {
    for (const name of Object.keys(passwords)) {
      const { code, said } = await config({ ...passwords, [name]: "" }, ["config", "--quiet"]);
      expect({ code, said }).toEqual({ code: 1, said: expect.stringContaining(`set ${name} to`) });
    }
  });

  test("can start any number of workers: nothing of them exists once only", () => {
    const { container_name: name, hostname, ports, environment } = services["worker"]!;
    expect({ name, hostname, ports }).toEqual({ name: undefined, hostname: undefined, ports: [] });
    // With the same name all would be the same worker.
    expect(environment["WORKER_ID"]).toBe("");
  });

  test("lets every setting of .env count, except those that belong to the containers", async () => {
    const text = readFileSync(join(project, ".env.example"), "utf8");
    const names = [...text.matchAll(/^(?:# )?([A-Z_\d]+)=/gm)].map(([, name]) => name!);
    const given = Object.fromEntries(names.map((name) => [name, `of-${name}`]));
    const place = await mkdtemp(join(folder, "with-settings-"));
    const file = join(place, "docker-compose.yml");
    await copyFile(join(project, "docker-compose.yml"), file);
    const all = { ...passwords, PROMETHEUS_API_KEY: "its-key", GRAFANA_PASSWORD: "its-password", ...given };
    const lines = Object.entries(all).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(join(place, ".env"), lines.join(""));
    const output = join(place, "config.json");
    const args = ["--project-directory", place, "--file", file, "--profile", "*", "config", "--format=json"];
    if ("reason" in compose) throw new Error(compose.reason);
    const unset = Object.fromEntries(Object.keys(all).map((name) => [name, undefined]));
    expect(await compose.run([...args, "--output", output], { env: unset as never })).toEqual({
      code: 0,
      said: "",
    });
    const found = configSchema.parse(JSON.parse(await readFile(output, "utf8"))).services;
    const changed = (service: string): string[] =>
      names.filter((name) => found[service]!.environment[name] !== given[name]);
    const ofContainers = ["DATABASE_URL", "REDIS_URL", "DATA_DIR", "FFMPEG_PATH"];
    expect(changed("api").toSorted()).toEqual([...ofContainers, "HOST", "PORT", "API_KEYS"].toSorted());
    expect(found["api"]!.environment["API_KEYS"]).toBe(
      "default:operate:a-key,prometheus:operate:its-key,of-API_KEYS",
    );
    const ofWorkers = ["API_KEYS", "WORKER_ID", "WORKER_HOST", "WORKER_PORT"];
    expect(changed("worker").toSorted()).toEqual([...ofContainers, ...ofWorkers].toSorted());
    // No one has what only others need.
    const secrets = ["a-key", "its-key", "its-password", "of-API_KEYS"];
    const known = (service: string): string[] =>
      secrets.filter((secret) => JSON.stringify(found[service]!.environment).includes(secret));
    expect(known("worker")).toEqual([]);
    expect(known("api")).toEqual(["a-key", "its-key", "of-API_KEYS"]);
    for (const name of ["migrate", "simulator", "comfyui", "file-cleaner"]) {
      expect(known(name)).toEqual([]);
      expect(Object.keys(found[name]!.environment)).not.toContain("LOG_LEVEL");
    }
  });

  test("mounts only what there is, and takes images of others by their version", () => {
    for (const { volumes, build, image } of Object.values(services)) {
      const mounted = volumes.filter(({ type, target }) => type === "bind" && target !== "/models");
      expect(mounted.filter(({ source }) => !existsSync(source))).toEqual([]);
      if (build === undefined && image !== "comfyui:local") expect(image).toMatch(/:v?\d+(\.\d+)*(-\w+)?$/);
    }
  });

  test("lets Prometheus find each API and worker, and Grafana find Prometheus and the dashboard", () => {
    const { scrape_configs: jobs } = scrapeSchema.parse(
      parse(readFileSync(join(project, "deploy/prometheus/prometheus.yml"), "utf8")),
    );
    expect(jobs.map(({ dns_sd_configs: [found] }) => found)).toEqual([
      expect.objectContaining({ names: ["api"], port: Number(services["api"]!.environment["PORT"]) }),
      expect.objectContaining({
        names: ["worker"],
        port: Number(services["worker"]!.environment["WORKER_PORT"]),
      }),
    ]);
    const { secrets, command } = services["prometheus"]!;
    expect(secrets.map(({ target }) => target)).toEqual([jobs[0]!.authorization!.credentials_file]);
    expect(mountOf("prometheus", "prometheus.yml")).toBe("/etc/prometheus/prometheus.yml");
    expect(command).toContain("--config.file=/etc/prometheus/prometheus.yml");
    expect(dirname(mountOf("prometheus", "alerts.yml"))).toBe("/etc/prometheus");

    const provisioned = (path: string): unknown =>
      parse(readFileSync(join(project, "deploy/grafana/provisioning", path), "utf8"));
    expect(mountOf("grafana", "provisioning")).toBe("/etc/grafana/provisioning");
    expect(provisioned("datasources/prometheus.yml")).toMatchObject({
      datasources: [{ type: "prometheus", url: "http://prometheus:9090", isDefault: true }],
    });
    expect(provisioned("dashboards/genga.yml")).toMatchObject({
      providers: [{ type: "file", options: { path: dirname(mountOf("grafana", "genga.json")) } }],
    });
  });

  /** Where a file or folder of `deploy` is in the service's containers. */
  function mountOf(service: string, name: string): string {
    const mount = services[service]!.volumes.find(({ source }) => basename(source) === name);
    if (mount === undefined) throw new Error(`${service} does not mount ${name}`);
    return mount.target;
  }
});

const scrapeSchema = z.looseObject({
  scrape_configs: z.array(
    z.looseObject({
      authorization: z.object({ credentials_file: z.string() }).optional(),
      dns_sd_configs: z.tuple([z.looseObject({ names: z.array(z.string()), port: z.number() })]),
    }),
  ),
});

const testHadolint = "reason" in hadolint ? test.skip : test;
testHadolint(`hadolint finds nothing to improve in the Dockerfile${skipped(hadolint)}`, async () => {
  if ("reason" in hadolint) throw new Error(hadolint.reason);
  expect(await hadolint.run([join(project, "deploy/Dockerfile")])).toEqual({ code: 0, said: "" });
  const wrong = join(folder, "Dockerfile");
  await writeFile(wrong, "FROM debian\nRUN cd /tmp\n");
  expect((await hadolint.run(["--no-color", wrong])).said).toMatch(/DL3003|DL3006/);
});
