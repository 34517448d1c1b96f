import { setTimeout as sleep } from "node:timers/promises";
import { type CDPSession, type Page } from "playwright-core";
import { z } from "zod";

export interface PageMeasured {
  /** The times between the animation frames of the page. */
  readonly framesMs: readonly number[];
  /** Tasks of its main thread that took more than 50 ms. */
  readonly longTasksMs: readonly number[];
  /** Of its main thread, in percent of a core. */
  readonly busyPercent: number;
  readonly scriptPercent: number;
  readonly layoutPercent: number;
  readonly samples: readonly MemorySample[];
  /** A CPU profile of the first minute, as DevTools opens it; null if it was not asked for. */
  readonly profile: unknown;
}

interface MemorySample {
  /** After a garbage collection. */
  readonly heapBytes: number;
  /** Those that are detached and kept included. */
  readonly nodes: number;
  readonly listeners: number;
}

interface Options {
  readonly minutes: number;
  readonly sampleMs?: number;
  readonly act?: ((page: Page) => Promise<void>) | undefined;
  readonly isProfiled?: boolean;
}

/** Frames are noted by the page itself, and read from there with each sample. */
const meter = `(() => {
  window.pageMeter = { frames: [], tasks: [], last: undefined };
  const onFrame = (time) => {
    const { frames, last } = window.pageMeter;
    if (last !== undefined) frames.push(time - last);
    window.pageMeter.last = time;
    requestAnimationFrame(onFrame);
  };
  requestAnimationFrame(onFrame);
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.pageMeter.tasks.push(duration);
  }).observe({ type: "longtask" });
})()`;
/** Reads what was noted, and notes anew; the frame that this disturbs is not counted. */
const readMeter = `(() => {
  const { frames, tasks } = window.pageMeter;
  Object.assign(window.pageMeter, { frames: [], tasks: [], last: undefined });
  return { frames, tasks };
})()`;

const notedSchema = z.object({ frames: z.array(z.number()), tasks: z.array(z.number()) });
const profiledMs = 60_000;

/** Looks at a page that is open for so many minutes, while `act` is done with it again and again. */
export async function measurePage(
  page: Page,
  { minutes, sampleMs = 30_000, act, isProfiled = false }: Options,
): Promise<PageMeasured> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  await page.evaluate(meter);
  if (isProfiled) {
    await session.send("Profiler.enable");
    await session.send("Profiler.start");
  }
  let profile: unknown = null;
  const [framesMs, longTasksMs, samples]: [number[], number[], MemorySample[]] = [[], [], []];
  const busy = { all: 0, scripts: 0, layout: 0, wallMs: 0 };
  const startedAt = performance.now();
  while (performance.now() - startedAt < minutes * 60_000) {
    const [before, from] = [await metricsOf(session), performance.now()];
    await page.evaluate(readMeter);
    while (performance.now() - from < sampleMs) {
      if (act === undefined) await sleep(sampleMs);
      else await act(page);
    }
    const noted = notedSchema.parse(await page.evaluate(readMeter));
    framesMs.push(...noted.frames);
    longTasksMs.push(...noted.tasks);
    const after = await metricsOf(session);
    const grown = (name: string): number => 1_000 * ((after.get(name) ?? 0) - (before.get(name) ?? 0));
    busy.all += grown("TaskDuration");
    busy.scripts += grown("ScriptDuration");
    busy.layout += grown("LayoutDuration") + grown("RecalcStyleDuration");
    busy.wallMs += performance.now() - from;
    if (
      isProfiled &&
      profile === null &&
      performance.now() - startedAt >= Math.min(profiledMs, minutes * 60_000)
    )
      profile = (await session.send("Profiler.stop")).profile;
    samples.push(await memoryOf(session));
  }
  await session.detach();
  const percent = (ms: number): number => (100 * ms) / busy.wallMs;
  return {
    ...{ framesMs, longTasksMs, samples, profile, busyPercent: percent(busy.all) },
    ...{ scriptPercent: percent(busy.scripts), layoutPercent: percent(busy.layout) },
  };
}

async function metricsOf(session: CDPSession): Promise<Map<string, number>> {
  const { metrics } = await session.send("Performance.getMetrics");
  return new Map(metrics.map(({ name, value }) => [name, value]));
}

async function memoryOf(session: CDPSession): Promise<MemorySample> {
  await session.send("HeapProfiler.collectGarbage");
  const metrics = await metricsOf(session);
  const at = (name: string): number => metrics.get(name) ?? Number.NaN;
  return { heapBytes: at("JSHeapUsedSize"), nodes: at("Nodes"), listeners: at("JSEventListeners") };
}
