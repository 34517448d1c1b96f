import { type ServerDevice } from "@genga/jobs";

/** A server's devices, as they were last recorded. */
export interface RecordedDevices {
  devices: readonly ServerDevice[];
  /** By the monotonic clock. */
  at: number;
}

/** Free memory changes with every prompt, and people only look at it. */
const pauseMs = 10_000;
/** Of the device's memory. */
const changeMin = 0.01;

/** Whether what a server says of its devices is worth a write. @param now by the monotonic clock */
export function isWorthRecording(
  last: RecordedDevices | null,
  devices: readonly ServerDevice[],
  now: number,
): boolean {
  if (last === null) return true;
  const isOther =
    devices.length !== last.devices.length ||
    devices.some(({ name, totalBytes }, index) => {
      const before = last.devices[index];
      return before?.name !== name || before.totalBytes !== totalBytes;
    });
  if (isOther) return true;
  if (now - last.at < pauseMs) return false;
  return devices.some(({ freeBytes, totalBytes }, index) => {
    const before = last.devices[index]?.freeBytes ?? 0;
    return Math.abs(freeBytes - before) >= totalBytes * changeMin && freeBytes !== before;
  });
}
