import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiClient, sleepWorkflow } from "@genga/testing";
import pg from "pg";
import { type TestStack } from "./test-stack.ts";

/** A server, as operators see it. */
export interface ListedServer {
  id: string;
  url: string;
  state: string;
  stateReason: string | null;
  source: string;
  [field: string]: unknown;
}

/** What tests of the sources of servers share: what the API lists, and a servers file. */
export class ListedServers {
  readonly api: ApiClient;
  readonly #stack: TestStack;

  constructor(stack: TestStack) {
    this.#stack = stack;
    this.api = stack.api;
  }

  urlOf(index: number): string {
    return this.#stack.simulators[index]!.url.replace(/\/$/, "");
  }

  async until(isSo: (servers: ListedServer[]) => boolean): Promise<ListedServer[]> {
    for (;;) {
      const { servers } = (await (await this.api.request("GET", "servers")).json()) as {
        servers: ListedServer[];
      };
      if (isSo(servers)) return servers;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async untilState(url: string, state: string): Promise<ListedServer> {
    const isIt = (server: ListedServer): boolean => server.url === url && server.state === state;
    return (await this.until((servers) => servers.some(isIt))).find(isIt)!;
  }

  async untilGone(url: string): Promise<void> {
    await this.until((servers) => servers.every((server) => server.url !== url));
  }

  /** The prompts that all simulators have run, in no order. */
  async executions(): Promise<string[]> {
    return (await Promise.all(this.#stack.simulators.map((simulator) => simulator.executions()))).flat();
  }

  /** All rows of the database, as one text. */
  async dump(): Promise<string> {
    const [row] = await this.query<{ text: string }>("SELECT database_to_xml(true, false, '')::text AS text");
    return row!.text;
  }

  async query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.#stack.databaseUrl });
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** What operators are answered by these paths, as texts. */
  async answers(...paths: string[]): Promise<string[]> {
    return await Promise.all(paths.map(async (path) => (await this.api.request("GET", path)).text()));
  }
}

/** A folder with a servers file and what belongs to it. */
export class ServersFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<ServersFolder> {
    return new ServersFolder(await mkdtemp(join(tmpdir(), "genga-servers-")));
  }

  get serversFile(): string {
    return join(this.path, "servers.yaml");
  }

  /** Puts another file in the place of the servers file, as Kubernetes and editors do. */
  async write(text: string): Promise<void> {
    await writeFile(join(this.path, "new.yaml"), text);
    await rename(join(this.path, "new.yaml"), this.serversFile);
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** A job that runs so many seconds. */
export const sleep = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });
