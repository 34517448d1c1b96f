import { recycleOutcomes } from "@genga/jobs";
import { Counter, type Registry } from "prom-client";
import { recycleCauses } from "./recycle-rule.ts";

/** Begins at 0 for each pair, so that the first increase shows. */
export function recycleCounter(registry: Registry): Counter<"cause" | "outcome"> {
  const counter = new Counter({
    name: "genga_server_recycles_total",
    help: "Servers that this worker recycled, by cause and outcome.",
    labelNames: ["cause", "outcome"] as const,
    registers: [registry],
  });
  for (const cause of recycleCauses)
    for (const outcome of recycleOutcomes) counter.inc({ cause, outcome }, 0);
  return counter;
}
