export { startEmbeddedPostgres } from "./embedded-postgres.ts";
export { findEmbeddedPostgres } from "./find-embedded-postgres.ts";
export { startEmbeddedRedis } from "./embedded-redis.ts";
export { type EmbeddedServer, type EmbeddedServerOptions } from "./embedded-server.ts";
export { EmbeddedServiceError, type EmbeddedServiceErrorCode } from "./embedded-service-error.ts";
export {
  startEmbeddedServices,
  type EmbeddedServices,
  type EmbeddedServicesOptions,
} from "./embedded-services.ts";
export { lockFolder, type FolderLock } from "./folder-lock.ts";
export { freePort } from "./free-port.ts";
