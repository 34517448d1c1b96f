export { startEmbeddedPostgres } from "./postgres/embedded-postgres.ts";
export { findEmbeddedPostgres } from "./postgres/find-embedded-postgres.ts";
export { startEmbeddedRedis } from "./redis/embedded-redis.ts";
export { type EmbeddedServer, type EmbeddedServerOptions } from "./process/embedded-server.ts";
export { EmbeddedServiceError, type EmbeddedServiceErrorCode } from "./process/embedded-service-error.ts";
export {
  startEmbeddedServices,
  type EmbeddedServices,
  type EmbeddedServicesOptions,
} from "./embedded-services.ts";
export { lockFolder, type FolderLock } from "./process/folder-lock.ts";
export { freePort } from "./process/free-port.ts";
