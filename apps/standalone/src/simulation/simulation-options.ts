import { parseArgs } from "node:util";
import { jobPriorities } from "@genga/jobs";
import { z } from "zod";

const count = (max: number) => z.coerce.number().int().min(1).max(max);
const durationMs = z.coerce.number().min(0).max(1e12);

const schema = z.strictObject({
  servers: count(100_000).default(2).describe("ComfyUI servers"),
  slots: z.coerce
    .number()
    .int()
    .min(1)
    .max(2)
    .default(2)
    .describe("prompts on a server: 2 = one waits behind the running one"),
  takeBacks: z
    .enum(["on", "off"])
    .default("on")
    .describe("on = prompts that wait are taken back for empty servers"),
  takeBackMs: durationMs.default(250).describe("how long a take-back takes"),
  jobs: count(10_000_000).default(400),
  models: count(1_000).default(4),
  lanesPerModel: count(50).default(1).describe("sets of requirements for each model"),
  kinds: count(16).default(1).describe("kinds of servers; the n-th may serve the lanes of the first n"),
  tenants: count(1_000).default(1),
  lanesPerTenant: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("lanes of each tenant but the first, whose jobs are in all; 0 = all"),
  weights: z
    .string()
    .default("")
    .transform((text) => (text === "" ? [] : text.split(",").map(Number)))
    .pipe(z.array(z.number().positive()))
    .describe("weights of the first tenants, such as 1,2"),
  tenantRuns: z
    .string()
    .default("")
    .transform((text) => (text === "" ? [] : text.split(",").map(Number)))
    .pipe(z.array(z.number().positive()))
    .describe("how many times as long as others the jobs of the first tenants run, such as 1,50"),
  runMs: durationMs.min(1).default(1_000).describe("mean GPU time of a job"),
  loadMs: durationMs.default(20_000).describe("time to load a model"),
  spread: z.coerce
    .number()
    .min(0)
    .max(0.99)
    .default(0.2)
    .describe("how far runs differ from their mean, 0 to 0.99"),
  arriveMs: durationMs.default(0).describe("jobs arrive evenly over this time; 0 = all at once"),
  flood: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("jobs that the first tenant sends at the beginning"),
  bands: z
    .string()
    .default("0,0,1,0")
    .transform((text) => text.split(",").map(Number))
    .pipe(z.tuple([z.number(), z.number(), z.number(), z.number()]))
    .transform(([urgent, high, normal, low]) => ({ urgent, high, normal, low }))
    .describe(`shares of ${jobPriorities.join(", ")}`),
  backlogMs: durationMs.default(0).describe("how long all jobs have waited when the servers begin"),
  patienceMs: durationMs.default(60_000).describe("LANE_PATIENCE_MS"),
  stayLoads: z.coerce.number().min(0).default(8).describe("loads of its model for which a server stays"),
  ageingMs: durationMs.min(1).default(600_000).describe("AGEING_MS"),
  seed: z.coerce.number().int().default(1),
});

export type SimulationOptions = z.output<typeof schema>;

/** What `simulate` is told of the servers. */
export interface FarmOptions {
  /** Keeps what each server ran. */
  keepsOrder?: boolean;
  /** 2 = a prompt may wait behind the running job of each server, if the scheduler has one for it; 1 unless set. */
  slots?: number;
  /** Whether prompts that wait are taken back for empty servers, if the scheduler does so. */
  takesBack?: boolean;
  /** How long the empty server waits for a prompt that is taken back. */
  takeBackMs?: number;
}

/** The part of the options that is about servers and not about the scheduling. */
export function farmOptions({ slots, takeBacks, takeBackMs }: SimulationOptions): FarmOptions {
  return { slots, takesBack: takeBacks === "on", takeBackMs };
}

/** @throws an error that names what is wrong */
export function simulationOptions(given: Record<string, unknown>): SimulationOptions {
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
  const { flood, jobs, tenants } = parsed.data;
  if (flood > jobs) throw new Error("--flood must not exceed --jobs");
  if (flood > 0 && tenants < 2) throw new Error("--flood needs at least two --tenants");
  return parsed.data;
}

const flagOf = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** @param args such as `--servers 1000 --lanes-per-model 3`; `null` = help was asked for */
export function readSimulationOptions(args: string[]): SimulationOptions | null {
  const names = Object.keys(schema.shape);
  const options: Record<string, { type: "string" | "boolean" }> = { help: { type: "boolean" } };
  for (const name of names) options[flagOf(name)] = { type: "string" };
  const { values } = parseArgs({ args, options });
  if (values["help"] === true) return null;
  const given = names.flatMap((name) => {
    const value = values[flagOf(name)];
    return value === undefined ? [] : [[name, value] as const];
  });
  return simulationOptions(Object.fromEntries(given));
}

export function simulationHelp(): string {
  const lines = Object.entries(schema.shape).map(([name, field]) => {
    return `  --${flagOf(name).padEnd(18)}${field.description ?? ""}`;
  });
  return ["npm run simulate -- [options]", ...lines].join("\n");
}
