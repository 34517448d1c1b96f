export { Figures } from "./figures/figures.ts";
export { runChaos, type ChaosOptions } from "./rounds/run-chaos.ts";
export { type CrashableServer, type Services } from "./services/services.ts";
export { startServices, type SuiteServices } from "./services/start-services.ts";
