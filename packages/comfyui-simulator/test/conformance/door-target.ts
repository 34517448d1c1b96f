import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startSimulator, type Simulator } from "../../src/index.ts";
import { migrate } from "@genga/database";
import { createTestDatabase, startStack, type Stack, type TestDatabase } from "@genga/testing";
import { deedOf } from "./notes.ts";
import { recordings, type RecordedCase, type Recording } from "./recordings.ts";
import { type Target } from "./run-conformance.ts";
import { skippedCase } from "./door-skips.ts";
import { simulatorOptionsFor } from "./simulator-target.ts";

/** One stack of Genga with its servers. */
interface Farm {
  of: string;
  scratch: TestDatabase;
  simulators: Simulator[];
  stack: Stack;
  door: string;
}

/**
 * Genga's door for ComfyUI's clients, with simulators behind it. Each recording is replayed by a tenant of its own, whose key is in the
 * URL, so that it finds neither files nor history of another one.
 */
export class DoorTarget implements Target {
  readonly name: "door" | "door of three";
  // Where all messages come, nothing waits for so long, and a busy machine may need it.
  readonly silenceMs = 20_000;
  readonly #servers: 1 | 3;
  #farm: Farm | undefined;

  constructor(servers: 1 | 3) {
    this.#servers = servers;
    this.name = servers === 1 ? "door" : "door of three";
  }

  async prepare(recording: Recording): Promise<string> {
    const of = `${recording.version} ${recording.furnishing}`;
    if (this.#farm?.of !== of) {
      await this.stop();
      this.#farm = await this.#start(recording, of);
    }
    // What the servers keep of earlier recordings would be found in their caches.
    await Promise.all(
      this.#farm.simulators.map(({ url }) =>
        fetch(`${url}/free`, { method: "POST", body: JSON.stringify({ free_memory: true }) }),
      ),
    );
    return `${this.#farm.door}/key/${keyOf(recording)}`;
  }

  onNote(text: string): Promise<void> {
    const deed = deedOf(text);
    if (deed?.kind === "delete")
      for (const { outputDir } of this.#farm?.simulators ?? [])
        rmSync(path.join(outputDir, deed.file), { force: true });
    return Promise.resolve();
  }

  onCase(): Promise<void> {
    return Promise.resolve();
  }

  skipCase(recording: Recording, recorded: RecordedCase): string | undefined {
    return skippedCase(recording, recorded, this.#servers);
  }

  async stop(): Promise<void> {
    const farm = this.#farm;
    this.#farm = undefined;
    if (farm === undefined) return;
    await farm.stack.stop();
    await Promise.all(farm.simulators.map((simulator) => simulator.stop()));
    await farm.scratch.drop();
  }

  async #start(recording: Recording, of: string): Promise<Farm> {
    const scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
    const simulators = await Promise.all(
      Array.from({ length: this.#servers }, () => startSimulator(simulatorOptionsFor(recording))),
    );
    const port = await freePort();
    const stack = await startStack({
      databaseUrl: scratch.url,
      simulators: 0,
      env: {
        API_KEYS: recordings.map((each) => `${tenantOf(each)}:submit:${keyOf(each)}`).join(","),
        COMFYUI_DOOR_PORT: String(port),
        COMFYUI_URLS: simulators.map(({ url }) => url).join(","),
        SECRETS_KEY: randomBytes(32).toString("base64"),
      },
    });
    const door = `http://127.0.0.1:${port}`;
    await untilServing(`${door}/key/${keyOf(recording)}`, this.#servers);
    return { of, scratch, simulators, stack, door };
  }
}

function tenantOf({ version, name }: Recording): string {
  return `of-${version.replaceAll(".", "-")}-${name}`;
}

function keyOf(recording: Recording): string {
  return `key-${tenantOf(recording)}`;
}

/** The servers take work when the worker has read their definitions. */
async function untilServing(url: string, servers: number): Promise<void> {
  for (;;) {
    const stats = await fetch(`${url}/system_stats`).then(
      (reply) => reply.json() as Promise<{ genga?: { servers: number } }>,
      () => null,
    );
    if (stats?.genga?.servers === servers) return;
    await delay(50);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
