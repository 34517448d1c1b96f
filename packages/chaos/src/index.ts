export { Figures } from "./figures/figures.ts";
export { runChaos, type ChaosOptions } from "./rounds/run-chaos.ts";
export { startChaosServices, type ChaosServices } from "./services/chaos-services.ts";
export { type CrashableServer, type Services } from "./world/world.ts";
