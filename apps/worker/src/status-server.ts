import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { hostname } from "node:os";
import { isLoopback, parseUrl } from "@genga/runtime";
import { Counter, Gauge, type Registry } from "prom-client";
import { type DrainState, type WorkerDrain } from "./draining/worker-drain.ts";
import { answerDrain, isOfThisMachine } from "./draining/drain-requests.ts";
import { type TakeBackCounts } from "./job/take-back.ts";
import { type StorageProblem } from "./servers/storage-hold.ts";

/** The present figures of a worker. */
export interface WorkerStatus {
  workerId: string;
  /** How long the worker's leases were not renewed; normally a fraction of a lease. */
  leasesRenewedAgoMs: number;
  leaseMs: number;
  isPaused: boolean;
  serversOwned: number;
  serversReady: number;
  jobsHeld: number;
  /** Of the disk for outputs; `null` = the disk is not checked, or was not yet. */
  disk: { freeBytes: number; wantedBytes: number } | null;
  /** Why outputs could not be stored, so that no job is begun; `null` = they can. */
  storageProblem: StorageProblem | null;
  takeBacks: TakeBackCounts;
  drain: DrainState;
}

/** What the port shows, once the worker is built. */
interface ShownWorker {
  status: () => WorkerStatus;
  /** The figures of the worker; those of its status are added. */
  registry: Registry;
  drain: WorkerDrain;
}

export interface StatusServer {
  /** The URL at which other machines reach it. */
  readonly url: string;
  /** Call it once, when the worker is built. Until then the worker is starting. */
  show(worker: ShownWorker): void;
  /** The worker hands its work over, so it is not ready any more. */
  noteStopping(): void;
  close(): Promise<void>;
}

/**
 * The health and the metrics of one worker, on a port of its own; port 0 = a free one. They contain only figures: no
 * address of a server and nothing of a job.
 *
 * - `GET /health/live`: 200 as long as this process answers. Whatever it waits for, a restart would not help.
 * - `GET /health/ready`: 503 while it starts, drains and stops, and once its leases have expired.
 * - `GET /health`: the same status with the worker's figures.
 * - `GET /metrics`: for Prometheus; 503 while it starts.
 * - `POST /drain`, `GET /drain?wait=SECONDS`, `POST /resume`: for programs of this machine only.
 */
export async function startStatusServer(options: { host: string; port: number }): Promise<StatusServer> {
  const { host, port } = options;
  const pages = new StatusPages();
  const server = createServer((request, response) => {
    if (pages.takeDrainRequest(request, response)) return;
    const answer = pages.find(request.url?.split("?", 1)[0]);
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (answer !== undefined && isRead) answer(response);
    else response.writeHead(answer ? 405 : 404, answer ? { allow: "GET, HEAD" } : {}).end();
  });
  server.requestTimeout = requestTimeoutMs;
  server.maxConnections = connectionsMax;
  server.listen({ host, port });
  // Rejects with the error of `listen`: a port in use ends the worker's start.
  await once(server, "listening");
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://${reachableName(host)}:${actual}`,
    show: (worker) => {
      pages.show(worker);
    },
    noteStopping: () => {
      pages.noteStopping();
    },
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The answers of the port. */
class StatusPages {
  readonly #startedAt = performance.now();
  #worker: ShownWorker | null = null;
  #isStopping = false;

  show(worker: ShownWorker): void {
    registerStatus(worker.registry, worker.status);
    this.#worker = worker;
  }

  noteStopping(): void {
    this.#isStopping = true;
  }

  /** `false`: the request is another one. */
  takeDrainRequest(request: IncomingMessage, response: ServerResponse): boolean {
    const url = parseUrl(`http://worker${request.url ?? ""}`);
    if (url === null) return false;
    const { method } = request;
    const isWait = url.pathname === "/drain" && method === "GET";
    const isChange = (url.pathname === "/drain" || url.pathname === "/resume") && method === "POST";
    if (!isWait && !isChange) return false;
    if (!isOfThisMachine(request))
      sendJson(response, 403, { status: "refused", reason: "not-of-this-machine" });
    else if (this.#worker === null) sendJson(response, 503, { status: "unavailable", reason: "starting" });
    else
      void answerDrain(
        this.#worker.drain,
        { request, response, url },
        () => this.#worker?.status().jobsHeld ?? 0,
      );
    return true;
  }

  find(path: string | undefined): ((response: ServerResponse) => void) | undefined {
    switch (path) {
      case "/health":
        return (response) => {
          this.#sendHealth(response);
        };
      case "/health/live":
        return (response) => {
          sendJson(response, 200, { status: "ok" });
        };
      case "/health/ready":
        return (response) => {
          const reason = this.#whyNotReady();
          if (reason === null) sendJson(response, 200, { status: "ready" });
          else sendJson(response, 503, { status: "not-ready", reason });
        };
      case "/metrics":
        return (response) => {
          void this.#sendMetrics(response);
        };
      case undefined:
      default:
        return undefined;
    }
  }

  /** `null` = it is ready. */
  #whyNotReady(): "starting" | "stopping" | "leases-expired" | "draining" | "drained" | null {
    if (this.#isStopping) return "stopping";
    if (this.#worker === null) return "starting";
    const { leasesRenewedAgoMs, leaseMs, drain } = this.#worker.status();
    if (leasesRenewedAgoMs >= leaseMs) return "leases-expired";
    return drain === "serving" ? null : drain;
  }

  #sendHealth(response: ServerResponse): void {
    const reason = this.#whyNotReady();
    const uptimeSeconds = Math.round((performance.now() - this.#startedAt) / 1000);
    const shown = { status: reason === null ? "ok" : "unavailable", reason, uptimeSeconds };
    if (this.#worker === null) {
      sendJson(response, 503, shown);
      return;
    }
    const { workerId, leasesRenewedAgoMs, isPaused, serversOwned, serversReady, jobsHeld, ...others } =
      this.#worker.status();
    const { drain, storageProblem } = others;
    sendJson(response, reason === null ? 200 : 503, {
      ...shown,
      leasesRenewedAgoMs: Math.round(leasesRenewedAgoMs),
      ...{ workerId, isPaused, serversOwned, serversReady, jobsHeld, drain, storageProblem },
    });
  }

  async #sendMetrics(response: ServerResponse): Promise<void> {
    if (this.#worker === null) {
      response.writeHead(503, { "retry-after": "5" }).end();
      return;
    }
    const { registry } = this.#worker;
    try {
      const text = await registry.metrics();
      response
        .writeHead(200, { "content-type": registry.contentType, "cache-control": "no-store" })
        .end(text);
    } catch {
      response.writeHead(500).end();
    }
  }
}

function sendJson(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  response
    .writeHead(status, { "content-type": "application/json", "cache-control": "no-store" })
    .end(JSON.stringify(body));
}

const requestTimeoutMs = 5_000;
const connectionsMax = 50;

/** An address that means all addresses of the machine is replaced by the machine's name. */
function reachableName(host: string): string {
  if (host === "0.0.0.0" || host === "::" || host === "[::]") return hostname();
  const plain = host.replace(/^\[|\]$/g, "");
  return plain.includes(":") ? `[${plain}]` : isLoopback(plain) ? "127.0.0.1" : plain;
}

function registerStatus(registry: Registry, status: () => WorkerStatus): void {
  const figures: [name: string, help: string, read: (status: WorkerStatus) => number][] = [
    ["genga_worker_servers_owned", "ComfyUI servers that this worker owns.", (now) => now.serversOwned],
    ["genga_worker_servers_ready", "Those of them that take jobs.", (now) => now.serversReady],
    ["genga_worker_jobs_held", "Jobs that this worker runs.", (now) => now.jobsHeld],
    [
      "genga_worker_draining",
      "1 while this worker takes no new jobs.",
      (now) => Number(now.drain !== "serving"),
    ],
    ["genga_worker_drained", "1 while it takes none and has none.", (now) => Number(now.drain === "drained")],
    ["genga_worker_farm_paused", "1 while an operator has paused the farm.", (now) => Number(now.isPaused)],
    [
      "genga_worker_leases_renewed_ago_seconds",
      "Time since this worker renewed its leases.",
      (now) => now.leasesRenewedAgoMs / 1000,
    ],
  ];
  for (const [name, help, read] of figures) {
    const gauge = new Gauge({
      ...{ name, help, registers: [registry] },
      collect: () => {
        gauge.set(read(status()));
      },
    });
  }
  registerDisk(registry, status);
  const takenBack = new Counter({
    name: "genga_prompts_taken_back_total",
    help: "Requests to take a waiting prompt back from a busy server, by result.",
    labelNames: ["result"],
    registers: [registry],
    collect: () => {
      takenBack.reset();
      for (const [result, count] of Object.entries<number>({ ...status().takeBacks }))
        takenBack.inc({ result }, count);
    },
  });
}

function registerDisk(registry: Registry, status: () => WorkerStatus): void {
  const figures = [
    [
      "genga_worker_disk_free_bytes",
      "Free space on the disk for outputs; absent if it is not checked.",
      "freeBytes",
    ],
    ["genga_worker_disk_wanted_bytes", "With less free space the worker begins no jobs.", "wantedBytes"],
  ] as const;
  for (const [name, help, field] of figures) {
    const gauge = new Gauge({
      ...{ name, help, registers: [registry] },
      collect: () => {
        const { disk } = status();
        if (disk === null) gauge.remove();
        else gauge.set(disk[field]);
      },
    });
  }
}
