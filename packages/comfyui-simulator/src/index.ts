export { startSimulator, type Simulator } from "./simulator.ts";
export {
  defaultTiming as DEFAULT_TIMING,
  type ModelFiles,
  type SimulatorOptions,
  type Timing,
} from "./options.ts";
export { type ExecutionRecord } from "./control/execution-log.ts";
export { type FaultRequest } from "./control/fault.ts";
