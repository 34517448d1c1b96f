import { type JobHistory, type StreamedFrame, type Trouble } from "../history/history.ts";

/** An API that missed live progress during a fault may show older progress for this long. */
const hearingMs = 1_000;

/**
 * Checks what a client sees that reconnects again and again with the last id that it got: every event once and in
 * order, and progress that never falls within an attempt.
 */
export function* checkStreams(job: JobHistory, troubles: readonly Trouble[]): Generator<string> {
  let sequence: number | null = null;
  const shown = new Map<number, { percent: number; at: number; stream: number }>();
  for (const [stream, frames] of job.streams.entries()) {
    for (const frame of frames) {
      const expected: number | null = sequence !== null && frame.event === "event" ? sequence + 1 : sequence;
      if (sequence !== null && frame.sequence !== null && frame.sequence !== expected) {
        yield `${frame.event} ${frame.sequence} was streamed after ${sequence} at ${new Date(frame.at).toISOString()}`;
      }
      sequence = frame.sequence ?? sequence;
      if (frame.attempt === null || frame.percent === null) continue;
      const before = shown.get(frame.attempt);
      if (before !== undefined && frame.percent < before.percent) {
        if (before.stream === stream || !wasApiAway(before.at, frame, troubles)) {
          yield `${frame.event}: progress fell from ${before.percent} to ${frame.percent} in attempt ${frame.attempt} at ${new Date(frame.at).toISOString()}`;
        }
      }
      shown.set(frame.attempt, { percent: frame.percent, at: frame.at, stream });
    }
  }
}

function wasApiAway(since: number, { at }: StreamedFrame, troubles: readonly Trouble[]): boolean {
  return troubles.some(({ kind, from, to }) => kind === "apis" && from <= at && to >= since - hearingMs);
}
