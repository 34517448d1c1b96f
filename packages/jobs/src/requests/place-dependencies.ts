import { v7 as uuidv7, validate as isUuid } from "uuid";
import { type OutputReference } from "./output-references.ts";
import { type JobProblem } from "../job/job-errors.ts";

/** What a submission says about a job's place among others. */
export interface NamedDependencies {
  key?: string | undefined;
  /** Keys of jobs of the same submission, or ids of existing jobs. */
  dependsOn?: readonly string[] | undefined;
  /** Jobs whose outputs it uses. */
  references?: readonly OutputReference[] | undefined;
}

/** A job's id, and the ids of the jobs that it depends on, each once. */
export interface PlacedJob {
  id: string;
  dependsOn: string[];
  /** The id of a job that it names, by its key or id as given. */
  idOf: (name: string) => string | undefined;
}

/**
 * Gives each job of a submission its id, and finds the jobs that it names. A job's id is greater than the ids of all
 * jobs that it depends on: statements lock rows in the order of their ids, and so lock needed jobs first. Otherwise ids
 * are in the order of the jobs.
 * @returns the places in the order of the jobs, or the problems, with the job's index
 */
export function placeDependencies(
  jobs: readonly NamedDependencies[],
): { places: PlacedJob[] } | { problems: { index: number; problem: JobProblem }[] } {
  const found: { index: number; problem: JobProblem }[] = [];
  const indexOfKey = new Map<string, number>();
  for (const [index, { key }] of jobs.entries()) {
    if (key === undefined) continue;
    if (indexOfKey.has(key)) found.push({ index, problem: duplicateKey(key) });
    else indexOfKey.set(key, index);
  }
  const named = jobs.map(({ dependsOn = [], references = [] }, index) => {
    const [own, existing] = [new Set<number>(), new Set<string>()];
    const names = [
      ...dependsOn.map((name, place) => ({ path: `dependsOn.${place}`, from: name })),
      ...references,
    ];
    for (const { path, from } of names) {
      const known = indexOfKey.get(from);
      if (known === index) found.push({ index, problem: dependsOnItself(path, from) });
      else if (known !== undefined) own.add(known);
      else if (isUuid(from)) existing.add(from.toLowerCase());
      else found.push({ index, problem: unknownKey(path, from) });
    }
    return { own, existing };
  });
  const { order, inCycles } = neededFirst(named.map(({ own }) => own));
  const isInCycle = new Set(inCycles);
  found.push(...inCycles.map((index) => ({ index, problem: cycle(jobs, named, index, isInCycle) })));
  if (found.length > 0) return { problems: found };
  const ids = new Array<string>(jobs.length);
  const placed = new Array<PlacedJob>(jobs.length);
  for (const index of order) {
    const { own, existing } = named[index] ?? { own: [], existing: [] };
    const dependsOn = [...[...own].map((needed) => ids[needed] ?? ""), ...existing];
    const id = idAfter(dependsOn);
    ids[index] = id;
    const idOf = (name: string): string | undefined => ids[indexOfKey.get(name) ?? -1] ?? existingId(name);
    placed[index] = { id, dependsOn, idOf };
  }
  return { places: placed };
}

function existingId(name: string): string | undefined {
  return isUuid(name) ? name.toLowerCase() : undefined;
}

/** A new id that is greater than all of these, even if the clock of another process is ahead. */
function idAfter(ids: readonly string[]): string {
  const id = uuidv7();
  const last = ids.reduce((greatest, one) => (one > greatest ? one : greatest), "");
  if (id > last) return id;
  return uuidv7({ msecs: Math.min(millisecondsOf(last) + 1, 2 ** 48 - 1) });
}

/** The first 48 bits of a version 7 id. */
function millisecondsOf(id: string): number {
  return Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
}

/** Orders the jobs so that each comes after those that it needs, otherwise as they are; without recursion. */
function neededFirst(needs: readonly ReadonlySet<number>[]): { order: number[]; inCycles: number[] } {
  const waitsFor = needs.map((own) => own.size);
  const dependents = needs.map((): number[] => []);
  for (const [index, own] of needs.entries()) for (const needed of own) dependents[needed]?.push(index);
  const isFree = waitsFor.map((count) => count === 0);
  const free = waitsFor.flatMap((count, index) => (count === 0 ? [index] : []));
  // The loop also comes to what it appends.
  for (const next of free) {
    for (const dependent of dependents[next] ?? []) {
      const left = (waitsFor[dependent] ?? 0) - 1;
      waitsFor[dependent] = left;
      if (left > 0) continue;
      isFree[dependent] = true;
      free.push(dependent);
    }
  }
  if (free.length === needs.length) return { order: inSubmittedOrder(needs), inCycles: [] };
  return { order: [], inCycles: withoutMereDependents(needs, isFree) };
}

/** Depth first, by a stack: the needed jobs of a job come just before it. There are no cycles. */
function inSubmittedOrder(needs: readonly ReadonlySet<number>[]): number[] {
  const [order, isDone] = [[] as number[], needs.map(() => false)];
  for (const start of needs.keys()) {
    const stack = [start];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const open = [...(needs[top] ?? [])].filter((needed) => isDone[needed] !== true);
      if (isDone[top] !== true && open.length > 0) stack.push(...open);
      else {
        stack.pop();
        if (isDone[top] !== true) order.push(top);
        isDone[top] = true;
      }
    }
  }
  return order;
}

/** Of the jobs that can never begin, those that are needed by one of them; the others only come after a cycle. */
function withoutMereDependents(needs: readonly ReadonlySet<number>[], isFree: readonly boolean[]): number[] {
  const stuck = new Set(needs.flatMap((_own, index) => (isFree[index] === true ? [] : [index])));
  const neededBy = needs.map(() => 0);
  const count = (index: number, step: number): void => {
    for (const needed of needs[index] ?? []) neededBy[needed] = (neededBy[needed] ?? 0) + step;
  };
  for (const index of stuck) count(index, 1);
  const ends = [...stuck].filter((index) => neededBy[index] === 0);
  // The loop also comes to what it appends.
  for (const end of ends) {
    stuck.delete(end);
    count(end, -1);
    for (const needed of needs[end] ?? []) if (stuck.has(needed) && neededBy[needed] === 0) ends.push(needed);
  }
  return [...stuck];
}

function duplicateKey(key: string): JobProblem {
  const message = `key: another job of this batch has the key ${key}, too.`;
  return { path: "key", code: "duplicate-key", message, received: key };
}

function dependsOnItself(path: string, name: string): JobProblem {
  return { path, code: "dependency-cycle", message: `${path}: the job depends on itself.`, received: name };
}

function unknownKey(path: string, name: string): JobProblem {
  const message = `${path}: ${name} is neither the key of a job of this request nor the id of a job.`;
  return { path, code: "unknown-job", message, received: name };
}

function cycle(
  jobs: readonly NamedDependencies[],
  named: readonly { own: ReadonlySet<number> }[],
  index: number,
  isInCycle: ReadonlySet<number>,
): JobProblem {
  const next = [...(named[index]?.own ?? [])].find((needed) => isInCycle.has(needed));
  const key = next === undefined ? "itself" : (jobs[next]?.key ?? `jobs.${next}`);
  const message = `dependsOn: the job waits for ${key}, and that one, directly or through others, for this job.`;
  return { path: "dependsOn", code: "dependency-cycle", message, received: key };
}
