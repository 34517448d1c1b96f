import { type Link } from "../plan/fault.ts";
import { type Replica } from "./replica.ts";
import { type SimulatedServer } from "./simulated-server.ts";

/** Whose traffic passes a network: that of an API or a worker with a store, or that of anybody with a ComfyUI server. */
export type TrafficSource = { replica: Replica; link: Link } | { server: SimulatedServer };
