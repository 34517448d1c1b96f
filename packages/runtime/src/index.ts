export {
  ConfigurationError,
  configurationVariables,
  readConfiguration,
  requireKeyBeyondLoopback,
  requireServices,
  type ApiKey,
  type Configuration,
  type JobTimeouts,
  type LogLevel,
  type ServiceConfiguration,
  type StorageLocation,
} from "./configuration.ts";
export {
  AddressError,
  identityOfUrl,
  isLoopback,
  readComfyUIAddress,
  readServerAddress,
  resolvedServer,
  type ComfyUIAddress,
  type NamedServer,
} from "./comfyui-address.ts";
export { type KeepingSettings } from "./keeping-settings.ts";
export { createLogger, endOutput, type Logger } from "./logger.ts";
export { registerDependencyMetrics } from "./dependency-metrics.ts";
export { requireOwnDoorPort } from "./own-door-port.ts";
export { parseUrl } from "./parse-url.ts";
export { createMetricsRegistry } from "./metrics.ts";
export {
  impatientAfterMs,
  readyMessageSchema,
  runService,
  stopDeadlineMs,
  type ReadyMessage,
  type RunningService,
  type ServiceContext,
} from "./run-service.ts";
export { slotsMax } from "./server-labels.ts";
export { readServersFile, ServersFileError, type ServersFile } from "./servers-file.ts";
export { type RecycleSettings } from "./recycle-settings.ts";
export { type SessionSettings } from "./session-settings.ts";
export { type TraceSpan, type Tracing } from "./trace-spans.ts";
export { openTracing } from "./tracing.ts";
export { type WebhookSettings } from "./webhook-settings.ts";
