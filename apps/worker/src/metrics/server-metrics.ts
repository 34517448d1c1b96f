import { Counter, Gauge, type Registry } from "prom-client";
import { type SlotUse } from "./slot-use.ts";

/** What is measured of a server that this worker owns. */
export interface MeasuredServer {
  readonly id: string;
  readonly slots: number;
  readonly jobsHeld: number;
  readonly mayTakeJobs: boolean;
  readonly modelLoads: number;
  readonly slotUse: SlotUse;
}

/**
 * Figures of the servers that this worker owns now, by the servers' ids. The API tells their addresses
 * (`genga_server_state`), which this port does not show.
 */
export function registerServerMetrics(registry: Registry, owned: () => readonly MeasuredServer[]): void {
  const shared = { labelNames: ["server"] as const, registers: [registry] };
  const seconds = (ms: number): number => ms / 1_000;
  const gauges: [name: string, help: string, read: (server: MeasuredServer) => number][] = [
    ["genga_server_slots", "Prompts that the server may hold now.", ({ slots }) => slots],
    ["genga_server_slots_used", "Slots of the server that jobs hold.", ({ jobsHeld }) => jobsHeld],
    ["genga_server_ready", "1 while the server takes jobs.", ({ mayTakeJobs }) => Number(mayTakeJobs)],
  ];
  const counters: [name: string, help: string, read: (server: MeasuredServer, now: number) => number][] = [
    [
      "genga_server_busy_seconds_total",
      "Time for which the server held one or more jobs, since this worker owns it.",
      ({ slotUse }, now) => seconds(slotUse.busyMs(now)),
    ],
    [
      "genga_server_idle_while_waiting_seconds_total",
      "Time for which the server held no prompt although a job waited that it then got, since this worker owns it.",
      ({ slotUse }) => seconds(slotUse.idleWhileWaitingMs),
    ],
    [
      "genga_model_loads_total",
      "Prompts for which the server had to load its model first, since this worker owns it.",
      ({ modelLoads }) => modelLoads,
    ],
  ];
  for (const [name, help, read] of gauges) {
    const gauge = new Gauge({
      ...{ ...shared, name, help },
      collect: () => {
        gauge.reset();
        for (const server of owned()) gauge.set({ server: server.id }, read(server));
      },
    });
  }
  for (const [name, help, read] of counters) {
    const counter = new Counter({
      ...{ ...shared, name, help },
      collect: () => {
        counter.reset();
        const now = performance.now();
        for (const server of owned()) counter.inc({ server: server.id }, read(server, now));
      },
    });
  }
}
