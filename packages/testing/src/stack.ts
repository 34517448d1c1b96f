import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { type ServiceProcess, startServiceProcess } from "./service-process.ts";
import { testServiceUrl } from "./test-database.ts";

/** Genga as in production, as separate processes: any number of APIs, workers and simulated servers. */
export interface Stack {
  readonly folder: string;
  /** The environment of all APIs and workers. */
  readonly env: Readonly<Record<string, string>>;
  readonly apis: ServiceProcess[];
  readonly workers: ServiceProcess[];
  readonly simulators: SimulatorProcess[];
  /** The base URL of the first API. */
  readonly url: string;
  /** @param checkout the folder of another version of Genga, which is started instead of this one */
  startApi(env?: Record<string, string>, checkout?: string): Promise<ServiceProcess>;
  /** @param within as in `startServiceProcess` */
  startWorker(
    env?: Record<string, string>,
    checkout?: string,
    within?: readonly string[],
  ): Promise<ServiceProcess>;
  /** Ends every process and removes the folder. */
  stop(): Promise<void>;
}

export interface SimulatorProcess extends ServiceProcess {
  readonly url: string;
  readonly controlUrl: string;
  /** The arguments of its start; with them it can be started again on its port. */
  readonly args: readonly string[];
  /** Prompt ids in the order in which their executions began; a prompt that was executed twice is listed twice. */
  executions(): Promise<string[]>;
  fault(fault: { kind: string; [option: string]: unknown }): Promise<void>;
}

export interface StackOptions {
  /** The URL of a migrated database. */
  databaseUrl: string;
  simulators?: number;
  apis?: number;
  workers?: number;
  /** Arguments for all simulators, besides ports and folders. */
  simulatorArgs?: string[];
  /** Environment for APIs and workers, besides the addresses. */
  env?: Record<string, string>;
}

/** Fast settings for tests: steps are short, and models load at once. */
export const quickSimulator = ["--load-ms", "0", "--step-ms", "5", "--save-ms", "0", "--history-lag-ms", "5"];

/** Starts everything on free loopback ports, with Redis keys of its own. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const folder = await mkdtemp(join(tmpdir(), "genga-stack-"));
  const simulators = await Promise.all(
    Array.from({ length: options.simulators ?? 1 }, (_, index) =>
      startSimulatorProcess([
        ...["--port", "0", "--data-dir", join(folder, `comfyui-${index}`)],
        ...["--execution-log", join(folder, `executions-${index}.log`)],
        ...(options.simulatorArgs ?? quickSimulator),
      ]),
    ),
  );
  const env = {
    DATABASE_URL: options.databaseUrl,
    REDIS_URL: testServiceUrl("TEST_REDIS_URL"),
    REDIS_PREFIX: `test-${randomUUID().slice(0, 8)}`,
    COMFYUI_URLS: simulators.map(({ url }) => url).join(","),
    DATA_DIR: folder,
    PORT: "0",
    // Few tests send large submissions; benchmarks measure an API as it is by default.
    ...(process.env["NODE_ENV"] === "test" && { SUBMISSION_THREAD: "when-needed" }),
    ...options.env,
  };
  const apis: ServiceProcess[] = [];
  const workers: ServiceProcess[] = [];
  const start = async (
    list: ServiceProcess[],
    app: string,
    more: Record<string, string>,
    checkout?: string,
    within: readonly string[] = [],
  ): Promise<ServiceProcess> => {
    const service = await startServiceProcess({
      entry: `apps/${app}/src/main.ts`,
      env: { ...env, ...more },
      ...(checkout !== undefined && { checkout }),
      within,
    });
    list.push(service);
    return service;
  };
  const startApi: Stack["startApi"] = (more = {}, checkout) => start(apis, "api", more, checkout);
  const startWorker: Stack["startWorker"] = (more = {}, checkout, within) =>
    start(workers, "worker", more, checkout, within);
  await Promise.all([
    ...Array.from({ length: options.apis ?? 1 }, () => startApi()),
    ...Array.from({ length: options.workers ?? 1 }, () => startWorker()),
  ]);
  return {
    folder,
    env,
    apis,
    workers,
    simulators,
    get url() {
      return String(apis[0]?.details["url"]);
    },
    startApi,
    startWorker,
    stop: async () => {
      await Promise.all([...workers, ...apis].map((service) => service.stop()));
      await Promise.all(simulators.map((service) => service.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A simulated ComfyUI as a process that can be killed. */
export async function startSimulatorProcess(
  args: string[],
  within: readonly string[] = [],
): Promise<SimulatorProcess> {
  const service = await startServiceProcess({
    entry: "packages/comfyui-simulator/src/main.ts",
    ...{ args, within },
    env: {},
    readyLine: /simulator listening on (?<url>\S+)/,
  });
  const controls = await service.line(/controls on \S+,/);
  const controlUrl = /controls on (\S+),/.exec(controls)?.[1] ?? "";
  const url = String(service.details["url"]);
  return {
    ...service,
    url,
    controlUrl,
    args: withPort(args, new URL(url).port),
    executions: async () => {
      const { executions } = executionsSchema.parse(await (await fetch(`${controlUrl}/executions`)).json());
      return executions.filter(({ event }) => event === "started").map(({ promptId }) => promptId);
    },
    fault: async (fault) => {
      const response = await fetch(`${controlUrl}/faults`, { method: "POST", body: JSON.stringify(fault) });
      if (!response.ok) throw new Error(await response.text());
    },
  };
}

const executionsSchema = z.object({
  executions: z.array(z.looseObject({ promptId: z.string(), event: z.enum(["started", "finished"]) })),
});

function withPort(args: string[], port: string): string[] {
  const place = args.indexOf("--port");
  return args.map((arg, index) => (index === place + 1 ? port : arg));
}
