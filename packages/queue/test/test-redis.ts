import { randomUUID } from "node:crypto";
import { type Announcement } from "@genga/jobs";
import { type QueueLogger } from "@genga/queue";

/** The Redis that the test run was given; each test file keeps to a prefix of its own. */
export function testRedisUrl(): string {
  const url = process.env["TEST_REDIS_URL"];
  if (url === undefined) throw new Error("TEST_REDIS_URL is not set: start the tests with `npm test`.");
  return url;
}

export function freshPrefix(): string {
  return `test-${randomUUID().slice(0, 8)}`;
}

export interface RecordingLogger extends QueueLogger {
  lines: { level: string; details: object; message: string }[];
}

export function recordingLogger(): RecordingLogger {
  const lines: RecordingLogger["lines"] = [];
  const record =
    (level: string) =>
    (details: object, message: string): void => {
      lines.push({ level, details, message });
    };
  return { lines, info: record("info"), warn: record("warn"), error: record("error") };
}

export function announce(changes: Partial<Announcement> = {}): Announcement {
  return {
    jobId: randomUUID(),
    attempt: 1,
    ticketNumber: 0,
    type: "image",
    lane: "default",
    priority: "normal",
    agedBands: 0,
    rank: 0,
    ...changes,
  };
}

/** Resolves when `listen` has called its listener; rejects after 10 s. */
export function signalOf(listen: (listener: () => void) => () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop();
      reject(new Error("No signal came within 10 s."));
    }, 10_000);
    const stop = listen(() => {
      clearTimeout(timer);
      stop();
      resolve();
    });
  });
}
