import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { hostname } from "node:os";
import { isLoopback } from "@genga/runtime";
import { Counter, Gauge, type Registry } from "prom-client";
import { type TakeBackCounts } from "./job/take-back.ts";

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
  takeBacks: TakeBackCounts;
}

export interface StatusServer {
  /** The URL at which other machines reach it. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * `GET /health` and `GET /metrics` of one worker, on a port of its own; port 0 = a free one. Both contain only figures:
 * no address of a server and nothing of a job. `/health` is 503 once the worker's leases have expired.
 */
export async function startStatusServer(options: {
  host: string;
  port: number;
  status: () => WorkerStatus;
  /** Where the figures of the worker are added. */
  registry: Registry;
}): Promise<StatusServer> {
  const { host, port, status, registry } = options;
  registerStatus(registry, status);
  const startedAt = performance.now();
  const server = createServer((request, response) => {
    const path = request.url?.split("?", 1)[0];
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (path === "/health" && isRead) sendHealth(response, status(), performance.now() - startedAt);
    else if (path === "/metrics" && isRead) void sendMetrics(response, registry);
    else {
      const isKnown = path === "/health" || path === "/metrics";
      response.writeHead(isKnown ? 405 : 404, isKnown ? { allow: "GET, HEAD" } : {}).end();
    }
  });
  server.requestTimeout = requestTimeoutMs;
  server.maxConnections = connectionsMax;
  server.listen({ host, port });
  // Rejects with the error of `listen`: a port in use ends the worker's start.
  await once(server, "listening");
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://${reachableName(host)}:${actual}`,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const requestTimeoutMs = 5_000;
const connectionsMax = 50;

/** An address that means all addresses of the machine is replaced by the machine's name. */
function reachableName(host: string): string {
  if (host === "0.0.0.0" || host === "::" || host === "[::]") return hostname();
  const plain = host.replace(/^\[|\]$/g, "");
  return plain.includes(":") ? `[${plain}]` : isLoopback(plain) ? "127.0.0.1" : plain;
}

function sendHealth(response: ServerResponse, status: WorkerStatus, uptimeMs: number): void {
  const { workerId, leasesRenewedAgoMs, leaseMs, isPaused, serversOwned, serversReady, jobsHeld } = status;
  const isAlive = leasesRenewedAgoMs < leaseMs;
  const body = JSON.stringify({
    status: isAlive ? "ok" : "unavailable",
    uptimeSeconds: Math.round(uptimeMs / 1000),
    leasesRenewedAgoMs: Math.round(leasesRenewedAgoMs),
    ...{ workerId, isPaused, serversOwned, serversReady, jobsHeld },
  });
  response
    .writeHead(isAlive ? 200 : 503, { "content-type": "application/json", "cache-control": "no-store" })
    .end(body);
}

async function sendMetrics(response: ServerResponse, registry: Registry): Promise<void> {
  try {
    const text = await registry.metrics();
    response.writeHead(200, { "content-type": registry.contentType, "cache-control": "no-store" }).end(text);
  } catch {
    response.writeHead(500).end();
  }
}

function registerStatus(registry: Registry, status: () => WorkerStatus): void {
  const figures: [name: string, help: string, read: (status: WorkerStatus) => number][] = [
    ["genga_worker_servers_owned", "ComfyUI servers that this worker owns.", (now) => now.serversOwned],
    ["genga_worker_servers_ready", "Those of them that take jobs.", (now) => now.serversReady],
    ["genga_worker_jobs_held", "Jobs that this worker runs.", (now) => now.jobsHeld],
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
