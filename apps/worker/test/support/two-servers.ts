import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import {
  quickSimulator,
  sleepWorkflow,
  startSimulatorProcess,
  type JobAnswer,
  type SimulatorProcess,
} from "@genga/testing";
import { startOddComfyUI, type OddComfyUI } from "./odd-comfyui.ts";
import { startTestStack, type TestStack, type TestStackOptions } from "./test-stack.ts";

/** A simulated server behind something that can hold its requests and answers. */
interface GatedServer {
  simulator: SimulatorProcess;
  gate: OddComfyUI;
  /** In Genga's database. */
  id: string;
}

/** Two servers, one of which is drained whenever jobs are to wait on the other. */
export interface TwoServers extends TestStack {
  readonly busy: GatedServer;
  readonly empty: GatedServer;
  /** Resolves when both servers take work, each owned by a worker of its own if there are two workers. */
  untilBothTakeWork(): Promise<void>;
  /** Submits a job to `busy` while `empty` is drained, and waits until the server has it. */
  putOnBusy(job: object, phase?: "submitted" | "executing"): Promise<string>;
  /** `empty` takes work (again): it falls idle at this moment. */
  resumeEmpty(): Promise<void>;
  drainEmpty(): Promise<void>;
  attempts(jobId: string): Promise<AttemptRow[]>;
  eventTypes(jobId: string): Promise<string[]>;
  /** The job's row, by the names of its columns. */
  jobRow(jobId: string): Promise<Record<string, unknown>>;
  /** A connection of the test's own. */
  readonly database: pg.Client;
  /** How often prompts of this job's attempts were executed, on both servers together. */
  executionsOf(jobId: string): Promise<number>;
}

interface AttemptRow {
  number: number;
  promptId: string;
  serverId: string;
  outcome: string | null;
  /** The code of its failure. */
  code: string | null;
}

/** A long one can be interrupted after each tenth of a second. */
export const sleepJob = (seconds: number, more: object = {}): object => ({
  type: "workflow",
  workflow: sleepWorkflow(seconds, { steps: Math.min(Math.ceil(seconds * 10), 1_000) }),
  ...more,
});

/** @param options.serverArgs for each of the two, besides the quick settings */
export async function startTwoServers(
  options: Omit<TestStackOptions, "simulators"> & { serverArgs?: [string[], string[]] } = {},
): Promise<TwoServers> {
  const { serverArgs = [[], []], env, ...others } = options;
  const servers = await Promise.all(
    serverArgs.map(async (more) => {
      const simulator = await startSimulatorProcess(["--port", "0", ...quickSimulator, ...more]);
      return { simulator, gate: await startOddComfyUI(simulator.url) };
    }),
  );
  const [first, second] = servers;
  if (first === undefined || second === undefined) throw new Error("unreachable");
  const stack = await startTestStack({
    ...others,
    simulators: 0,
    env: { COMFYUI_URLS: servers.map(({ gate }) => gate.url).join(","), ...env },
  });
  stack.simulators.push(first.simulator, second.simulator);
  const { api } = stack;
  const database = new pg.Client({ connectionString: stack.databaseUrl });
  await database.connect();
  const urls = [first.gate.url, second.gate.url];
  const ids = await serverIds(stack, urls);
  const [busy, empty] = [
    { ...first, id: ids[0] ?? "" },
    { ...second, id: ids[1] ?? "" },
  ];
  const drain = async (what: "drain" | "resume"): Promise<void> => {
    const { status } = await api.request("POST", `servers/${empty.id}/${what}`);
    if (status !== 202) throw new Error(`${what}: ${status}`);
  };
  const attempts = async (jobId: string): Promise<AttemptRow[]> => {
    const { rows } = await database.query<AttemptRow>(
      `SELECT number, prompt_id AS "promptId", server_id AS "serverId", outcome, failure ->> 'code' AS code
       FROM job_attempts WHERE job_id = $1 ORDER BY number`,
      [jobId],
    );
    return rows;
  };
  const stop = stack.stop.bind(stack);
  return Object.assign(stack, {
    busy,
    empty,
    attempts,
    database,
    eventTypes: async (jobId: string) => {
      const select = "SELECT type FROM job_events WHERE job_id = $1 ORDER BY sequence";
      return (await database.query<{ type: string }>(select, [jobId])).rows.map(({ type }) => type);
    },
    jobRow: async (jobId: string) => {
      const { rows } = await database.query("SELECT * FROM jobs WHERE id = $1", [jobId]);
      return (rows[0] ?? {}) as Record<string, unknown>;
    },
    untilBothTakeWork: async () => {
      await serverIds(stack, urls);
    },
    drainEmpty: () => drain("drain"),
    resumeEmpty: () => drain("resume"),
    putOnBusy: async (job: object, phase: "submitted" | "executing" = "submitted") => {
      const id = await api.submit(job);
      await api.until(id, (answer: JobAnswer) => answer.phase === phase);
      return id;
    },
    executionsOf: async (jobId: string) => {
      const prompts = new Set((await attempts(jobId)).map(({ promptId }) => promptId));
      const executed = await Promise.all(servers.map(({ simulator }) => simulator.executions()));
      return executed.flat().filter((promptId) => prompts.has(promptId)).length;
    },
    stop: async () => {
      await database.end();
      await stop();
      await Promise.all(servers.map(({ gate }) => gate.close()));
    },
  });
}

/** Waits until both take work, each with its own worker if there are two. */
async function serverIds(stack: TestStack, urls: readonly string[]): Promise<string[]> {
  interface Answer {
    servers: { id: string; url: string; state: string; isKnown: boolean; worker: string | null }[];
  }
  for (;;) {
    const { servers } = (await (await stack.api.request("GET", "servers")).json()) as Answer;
    const found = urls.flatMap(
      (url) => servers.find((server) => server.url.startsWith(url.replace(/\/$/, ""))) ?? [],
    );
    const owners = new Set(found.map(({ worker }) => worker));
    const areReady = found.every(({ state, isKnown }) => state === "online" && isKnown);
    if (found.length === urls.length && areReady && owners.size === Math.min(stack.workers.length, 2))
      return found.map(({ id }) => id);
    await sleep(50);
  }
}
