import { readdir, readFile } from "node:fs/promises";

/** Of one clock tick of `/proc`; Linux has 100 a second everywhere. */
const tickMs = 10;

/**
 * The processor time so far of each of these processes, with all that descend from it, those that have ended included.
 * What descends from two of them counts for the nearer one, and a process of one of `programs` for its program.
 * @returns milliseconds by the names of the processes; empty where there is no `/proc`
 */
export async function processorMsOf(
  pids: ReadonlyMap<number, string>,
  programs: readonly string[] = [],
): Promise<Map<string, number>> {
  const processes = await readProcesses();
  const times = new Map<string, number>();
  for (const [pid, { ticks, program }] of processes) {
    const ancestor = nameOf(pid, pids, processes);
    if (ancestor === undefined) continue;
    const name = programs.includes(program) ? program : ancestor;
    times.set(name, (times.get(name) ?? 0) + ticks * tickMs);
  }
  return times;
}

interface ProcessTimes {
  program: string;
  parent: number;
  /** Of the process, and of its children that have ended. */
  ticks: number;
}

async function readProcesses(): Promise<Map<number, ProcessTimes>> {
  const processes = new Map<number, ProcessTimes>();
  const names = await readdir("/proc").catch(() => []);
  for (const pid of names.map(Number).filter((id) => id > 0)) {
    // A process may end between the two reads.
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
    if (stat === null) continue;
    // The name of the program, in parentheses, may contain anything; the fields after it are numbers.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const numberAt = (index: number): number => Number(fields[index] ?? 0);
    const ticks = numberAt(11) + numberAt(12) + numberAt(13) + numberAt(14);
    const program = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    processes.set(pid, { program, parent: numberAt(1), ticks });
  }
  return processes;
}

function nameOf(
  pid: number,
  names: ReadonlyMap<number, string>,
  processes: ReadonlyMap<number, ProcessTimes>,
): string | undefined {
  for (let at: number | undefined = pid; at !== undefined && at > 0; at = processes.get(at)?.parent) {
    const name = names.get(at);
    if (name !== undefined) return name;
  }
  return undefined;
}
