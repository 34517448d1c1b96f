import { type Link } from "../plan/fault.ts";
import { type Replica } from "./replica.ts";
import { type SimulatedServer } from "./simulated-server.ts";

/**
 * The owner of the traffic in a network: an API or a worker and the store that it talks to, or a ComfyUI server and all
 * its clients.
 */
export type TrafficSource = { replica: Replica; link: Link } | { server: SimulatedServer };
