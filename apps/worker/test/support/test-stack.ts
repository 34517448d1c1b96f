import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  quickSimulator,
  startSimulatorProcess,
  startStack,
  type Stack,
  type StackOptions,
  type TestDatabase,
} from "@genga/testing";
import { startOddComfyUI, type OddComfyUI } from "./odd-comfyui.ts";

/** A database with all tables. */
export function createMigratedDatabase(): Promise<TestDatabase> {
  return createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
}

/** Genga with a database of its own, which is removed at the end, and a client of its first API. */
export interface TestStack extends Stack {
  readonly databaseUrl: string;
  readonly api: ApiClient;
}

export type TestStackOptions = Omit<StackOptions, "databaseUrl">;

export async function startTestStack(options: TestStackOptions = {}): Promise<TestStack> {
  const database = await createMigratedDatabase();
  const stack = await startStack({ databaseUrl: database.url, ...options });
  const stop = stack.stop.bind(stack);
  return Object.assign(stack, {
    databaseUrl: database.url,
    api: new ApiClient(stack.url),
    stop: async () => {
      await stop();
      await database.drop();
    },
  });
}

/** Its workers reach the one simulated server through something that answers some requests in its own way. */
export interface OddStack extends TestStack {
  readonly odd: OddComfyUI;
}

/**
 * @param options.serverArgs for the simulated server
 * @param options.keepsHistory Genga deletes what it has read in the server's history; here the history stays, so that a test
 *   can read what the server was given
 */
export async function startOddStack(
  options: Omit<TestStackOptions, "simulators"> & {
    serverArgs?: readonly string[];
    keepsHistory?: boolean;
  } = {},
): Promise<OddStack> {
  const { serverArgs = [], keepsHistory = false, env, ...others } = options;
  const simulator = await startSimulatorProcess(["--port", "0", ...quickSimulator, ...serverArgs]);
  const odd = await startOddComfyUI(simulator.url);
  if (keepsHistory)
    odd.refuse = (method, path) =>
      method === "POST" && path === "/history" ? { status: 200, body: "" } : undefined;
  const stack = await startTestStack({
    ...others,
    simulators: 0,
    env: { COMFYUI_URLS: odd.url, ...env },
  });
  stack.simulators.push(simulator);
  const stop = stack.stop.bind(stack);
  return Object.assign(stack, {
    odd,
    stop: async () => {
      await stop();
      await odd.close();
    },
  });
}
