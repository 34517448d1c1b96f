import { type ReactNode, useSyncExternalStore } from "react";

/** One clock for the whole page; it stands still while nothing shows a time. */
const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The time in milliseconds, to a second; the caller is drawn again as it goes on. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** 850 ms, 12 s, 3 min 5 s, 2 h 4 min, 3 d 2 h */
export function durationText(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/**
 * What is left of something, from its low and its high estimate in milliseconds; `null` = it takes longer than both, as when its
 * server has stopped answering.
 */
export function remainingText(low: number, high: number): string | null {
  if (high <= 0) return null;
  const [from, to] = [durationText(low), durationText(high)];
  return from === to ? from : `${from} – ${to}`;
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function exactTime(iso: string): string {
  return exact.format(new Date(iso));
}

/** A time that may lie ahead. */
export function Moment({ at }: { at: string }): ReactNode {
  return <time dateTime={at}>{exactTime(at)}</time>;
}

/** How long ago, with the exact time for whoever points at it. */
export function Ago({ at }: { at: string }): ReactNode {
  const ms = Math.max(0, useNow() - Date.parse(at));
  const coarse = ms < 10_000 ? "just now" : `${coarseText(ms)} ago`;
  return (
    <time dateTime={at} title={exactTime(at)}>
      {coarse}
    </time>
  );
}

function coarseText(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1_000)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}

/** How long it is until then; it counts down. */
export function Until({ at }: { at: string }): ReactNode {
  return <>{durationText(Math.max(0, Date.parse(at) - useNow()))}</>;
}
