import { setTimeout as sleep } from "node:timers/promises";
import {
  startServiceProcess,
  startTcpProxy,
  type Passage,
  type ServiceProcess,
  type TcpProxy,
} from "@genga/testing";
import { type Link } from "../plan/fault.ts";

export type ReplicaKind = "api" | "worker";

export interface ReplicaOptions {
  kind: ReplicaKind;
  /** A name that no other process of the suite has or had. */
  name: string;
  /** The addresses of the stores, before any proxy. */
  urls: Readonly<Record<Link, string>>;
  env: Readonly<Record<string, string>>;
  onPassage: (replica: Replica, link: Link, passage: Passage) => void;
  /** Called when the process ended although the suite did not end it. */
  onDeath: (replica: Replica, how: number | string) => void;
}

/** One process of an API or a worker, which reaches the stores over networks of its own. */
export class Replica {
  readonly kind: ReplicaKind;
  readonly name: string;
  readonly links: Readonly<Record<Link, TcpProxy>>;
  readonly #service: ServiceProcess;
  /** The suite is ending the process, or it has ended. */
  isEnding = false;

  private constructor(options: ReplicaOptions, links: Record<Link, TcpProxy>, service: ServiceProcess) {
    this.kind = options.kind;
    this.name = options.name;
    this.links = links;
    this.#service = service;
    for (const link of ["postgres", "redis"] as const) {
      links[link].observe((passage) => {
        options.onPassage(this, link, passage);
      });
    }
    void service.exited.then((how) => {
      if (!this.isEnding) options.onDeath(this, how);
      this.isEnding = true;
    });
  }

  /** Starts the process and waits until it is ready; like a supervisor, tries again when that fails. */
  static async start(options: ReplicaOptions): Promise<Replica> {
    const links = {
      postgres: await startTcpProxy({ targetUrl: options.urls.postgres }),
      redis: await startTcpProxy({ targetUrl: options.urls.redis }),
    };
    const env = {
      ...options.env,
      DATABASE_URL: signedUrl(links.postgres.url, options.name),
      REDIS_URL: links.redis.url,
      PORT: "0",
      WORKER_ID: options.name,
    };
    const entry = `apps/${options.kind}/src/main.ts`;
    for (let tries = 1; ; tries += 1) {
      try {
        return new Replica(options, links, await startServiceProcess({ entry, env }));
      } catch (error) {
        if (tries === startsMax) throw error;
        await sleep(250);
      }
    }
  }

  get pid(): number {
    return this.#service.pid;
  }

  get url(): string {
    return String(this.#service.details["url"] ?? "").replace(/\/$/, "");
  }

  get lines(): readonly string[] {
    return this.#service.lines;
  }

  /** Ends the process at once, also while it is paused. */
  async kill(): Promise<void> {
    this.isEnding = true;
    this.#service.signal("SIGKILL");
    await this.#end();
  }

  pause(): void {
    this.#service.signal("SIGSTOP");
  }

  resume(): void {
    this.#service.signal("SIGCONT");
  }

  /** Sends SIGTERM. Returns the exit code, or the signal that ended the process. */
  async stop(): Promise<number | string> {
    this.isEnding = true;
    this.#service.signal("SIGTERM");
    return this.#end();
  }

  async #end(): Promise<number | string> {
    const how = await this.#service.exited;
    await Promise.all([this.links.postgres.close(), this.links.redis.close()]);
    return how;
  }
}

const startsMax = 8;

/** The process's writes to the database carry its name; see `audit.ts`. */
function signedUrl(databaseUrl: string, name: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.set("options", `-c chaos.process=${name}`);
  return url.href;
}
