export { BullTicketQueue, createTicketQueue, type TicketQueueOptions } from "./tickets/bull-ticket-queue.ts";
export { InvalidLaneError } from "./lanes/bull-lane.ts";
export { createQueueBoard, type QueueBoard, type QueueBoardOptions } from "./queue-board.ts";
export { type RedisHealth } from "./redis/redis-health.ts";
export { type QueueLogger } from "./redis/redis-link.ts";
export { RedisPreviewGiver, RedisPreviewTaker, type PreviewsOptions } from "./previews/redis-previews.ts";
export { RedisAskedPrompts } from "./door/redis-asked-prompts.ts";
export {
  RedisDoorMessageGiver,
  RedisDoorMessageTaker,
  type DoorMessagesOptions,
} from "./door/redis-door-messages.ts";
export { createAdmissions, type AdmissionsOptions } from "./admissions/redis-admissions.ts";
export {
  createSignals,
  RedisSignals,
  type SignalCounts,
  type SignalsOptions,
} from "./signals/redis-signals.ts";
