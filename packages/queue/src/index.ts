export { BullTicketQueue, createTicketQueue, type TicketQueueOptions } from "./bull-ticket-queue.ts";
export { InvalidLaneError } from "./bull-lane.ts";
export { createQueueBoard, type QueueBoard, type QueueBoardOptions } from "./queue-board.ts";
export { type RedisHealth } from "./redis-health.ts";
export { type QueueLogger } from "./redis-link.ts";
export { createAdmissions, type AdmissionsOptions } from "./redis-admissions.ts";
export { createSignals, RedisSignals, type SignalCounts, type SignalsOptions } from "./redis-signals.ts";
