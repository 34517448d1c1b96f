/** A benchmark in the table of `npm run bench`: its file, and the options of its short form. */
export interface Benchmark {
  /** As in `--only`; the command is `npm run bench:<name>`. */
  name: string;
  /** Relative to the project's folder. */
  entry: string;
  args: readonly string[];
  /** It is ended after this time, and counts as failed. */
  minutesMax: number;
  /** It needs a real ComfyUI, at COMFYUI_URL. */
  needsServer?: true;
}

export const benchmarks: readonly Benchmark[] = [
  { name: "overhead", entry: "benchmarks/overhead.ts", args: ["--rounds", "2"], minutesMax: 5 },
  {
    name: "overhead-real",
    entry: "benchmarks/overhead-real.ts",
    args: ["--rounds", "2"],
    minutesMax: 5,
    needsServer: true,
  },
  { name: "idle-gap", entry: "benchmarks/idle-gap.ts", args: ["--rounds", "1"], minutesMax: 5 },
  { name: "latency", entry: "benchmarks/latency.ts", args: ["--jobs", "50"], minutesMax: 5 },
  { name: "accept", entry: "benchmarks/accept.ts", args: ["--rounds", "1"], minutesMax: 8 },
  {
    name: "accept-single",
    entry: "benchmarks/accept-single.ts",
    args: ["--jobs", "1000", "--rounds", "2"],
    minutesMax: 5,
  },
  {
    name: "pipeline",
    entry: "benchmarks/pipeline.ts",
    args: ["--jobs", "4000", "--rounds", "2"],
    minutesMax: 6,
  },
  {
    name: "chains",
    entry: "benchmarks/chains-cost.ts",
    args: ["--chains", "500", "--rounds", "1"],
    minutesMax: 6,
  },
  { name: "lanes", entry: "benchmarks/lanes.ts", args: ["--render-ms", "100"], minutesMax: 6 },
  {
    name: "farm",
    entry: "benchmarks/farm.ts",
    args: ["--servers", "100", "--seconds", "10"],
    minutesMax: 6,
  },
  {
    name: "processes",
    entry: "benchmarks/processes.ts",
    args: ["--workers", "4", "--jobs", "50", "--seconds", "10"],
    minutesMax: 6,
  },
  { name: "progress", entry: "benchmarks/progress.ts", args: ["--seconds", "10"], minutesMax: 4 },
  { name: "progress-state", entry: "benchmarks/progress-state.ts", args: ["--seconds", "10"], minutesMax: 4 },
  { name: "page", entry: "benchmarks/page.ts", args: ["--minutes", "0.4"], minutesMax: 8 },
  {
    name: "streams",
    entry: "benchmarks/streams.ts",
    args: ["--jobs", "4000", "--seconds", "10"],
    minutesMax: 4,
  },
  { name: "recovery", entry: "benchmarks/recovery.ts", args: ["--kills", "0"], minutesMax: 6 },
  { name: "startup", entry: "benchmarks/startup.ts", args: ["--rounds", "2"], minutesMax: 3 },
  { name: "zip", entry: "benchmarks/zip.ts", args: ["--files", "5000", "--gib", "1"], minutesMax: 4 },
];

/** The long ones, of `npm run bench:soak`. */
export const soakBenchmarks: readonly Benchmark[] = [
  { name: "memory", entry: "benchmarks/memory.ts", args: [], minutesMax: 180 },
  { name: "page", entry: "benchmarks/page.ts", args: ["--views", "jobs"], minutesMax: 30 },
  { name: "streams", entry: "benchmarks/streams.ts", args: [], minutesMax: 20 },
  { name: "zip", entry: "benchmarks/zip.ts", args: [], minutesMax: 20 },
  { name: "history", entry: "benchmarks/history.ts", args: [], minutesMax: 40 },
  { name: "depth", entry: "benchmarks/depth.ts", args: ["--stored", "1000000"], minutesMax: 120 },
];
