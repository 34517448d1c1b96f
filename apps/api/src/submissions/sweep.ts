import { isObject, numberOf } from "@genga/comfyui";
import { InvalidJobError, type JobProblem } from "@genga/jobs";
import { problemsOf, shorten } from "@genga/workflows";
import { z } from "zod";
import { bodyBytesMax } from "../http/error-mapping.ts";

/** The most lists of a sweep. */
const listsMax = 20;
/** Members and items of all jobs of a sweep together, as of all jobs of a batch that lists them. */
const valuesMax = 2_000_000;
/** Characters of all jobs of a sweep together: ten times what a body that lists them may have. */
const charactersMax = 10 * bodyBytesMax;

/** The schema of a sweep, whose base is a job like one of a batch's list. @param jobsMax the most jobs of a batch */
export function sweepSchema<Base extends z.ZodType>(
  base: Base,
  jobsMax: number,
): z.ZodObject<{
  base: Base;
  vary: z.ZodOptional<z.ZodRecord<z.ZodString, z.ZodArray<z.ZodUnknown>>>;
  nodeInputs: z.ZodOptional<z.ZodRecord<z.ZodString, z.ZodArray<z.ZodUnknown>>>;
  combine: z.ZodDefault<z.ZodEnum<{ product: "product"; zip: "zip" }>>;
  seeds: z.ZodOptional<
    z.ZodUnion<readonly [z.ZodArray<z.ZodUnknown>, typeof countedSeeds, typeof seedRange]>
  >;
}> {
  const lists = z.record(z.string().min(1).max(200), z.array(z.unknown()).min(1).max(jobsMax));
  return z.strictObject({
    base: base.describe("A job, as in `jobs`. The sweep changes some of its fields."),
    vary: lists
      .optional()
      .describe("Values of the job's fields, parameters and options alike: `steps: [20, 30]`."),
    nodeInputs: lists
      .optional()
      .describe("Values of a raw workflow's inputs, by node and input: `3.cfg: [6, 7.5]`."),
    combine: z
      .enum(["product", "zip"])
      .default("product")
      .describe(
        "`product`: every value of a list with every value of the others, the last list varying fastest; `zip`: the first values of " +
          "all lists, then the second ones, and so on.",
      ),
    seeds: z
      .union([z.array(z.unknown()).min(1).max(jobsMax), countedSeeds, seedRange])
      .optional()
      .describe(
        "Repeats every combination with each of these seeds. Of a raw workflow they become all numbers of inputs named `seed` or " +
          "`noise_seed`.",
      ),
  });
}

const seed = z.int().min(0);
const countedSeeds = z.strictObject({ count: z.int().min(1).max(10_000), from: seed.default(0) });
const seedRange = z.strictObject({ from: seed, to: seed });

/** One list of a sweep. */
interface Column {
  /** As the request names it: `steps`, `3.cfg`, `seed`. */
  name: string;
  length: number;
  at: (index: number) => unknown;
  /** Its values, unless they are numbers of a range. */
  given?: unknown[];
  /** What it changes: inputs of the workflow's nodes; absent = the job's field of its name. */
  inputs?: { nodeId: string; input: string }[];
}

/** All jobs of a sweep, in their order. */
export interface Sweep {
  count: number;
  /** The job at this place. Jobs share what the sweep does not change. */
  jobAt: (index: number) => unknown;
  /** What the sweep sets in the job at this place, by name. */
  valuesAt: (index: number) => Record<string, unknown>;
}

/**
 * Reads a sweep. The jobs are judged later, like those of a list.
 * @throws InvalidJobError when it describes no jobs, or too many
 */
export function readSweep(body: unknown, jobsMax: number): Sweep {
  const schema = sweepSchema(z.unknown(), jobsMax);
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, schema, body, "sweep"));
  const { base, vary = {}, nodeInputs = {}, combine, seeds } = parsed.data;
  if (!isObject(base)) throw refused("base", "wrong-type", "must be a job, which is a JSON object");
  const lists = [
    ...Object.entries(vary).map(([name, values]) => fieldColumn(name, values)),
    ...Object.entries(nodeInputs).map(([name, values]) => inputColumn(name, values, base)),
  ];
  const seedColumn = seeds === undefined ? undefined : columnOfSeeds(seeds, base);
  if (lists.length > listsMax) throw refused("vary", "out-of-bounds", `may have at most ${listsMax} lists`);
  if (lists.length === 0 && seedColumn === undefined) {
    throw refused(
      "vary",
      "missing-field",
      "is missing, and so are nodeInputs and seeds; one of them is needed",
    );
  }
  assertApart([...lists, ...(seedColumn === undefined ? [] : [seedColumn])]);
  const groups = combine === "zip" && lists.length > 0 ? [zipped(lists)] : lists.map((list) => [list]);
  if (seedColumn !== undefined) groups.push([seedColumn]);
  const count = groups.reduce((product, [first]) => product * (first?.length ?? 1), 1);
  if (count > jobsMax) {
    throw refused("", "out-of-bounds", `has ${count} jobs; a batch may have at most ${jobsMax}`);
  }
  const { values, characters } = sizeOfAll(base, [...lists, ...(seedColumn ? [seedColumn] : [])], count);
  if (values > valuesMax) {
    throw refused("", "out-of-bounds", `has more than ${valuesMax} values in all of its jobs; split it`);
  }
  if (characters > charactersMax) {
    const reason = `has more than ${charactersMax} characters in all of its jobs; split it`;
    throw refused("", "out-of-bounds", reason);
  }
  const placesAt = (index: number): { column: Column; value: unknown }[] => placesOf(groups, index);
  return {
    count,
    jobAt: (index) => jobWith(base, placesAt(index)),
    valuesAt: (index) => Object.fromEntries(placesAt(index).map(({ column, value }) => [column.name, value])),
  };
}

/** The values of one job in words: `steps = 20, seed = 7`. */
export function describeValues(values: Record<string, unknown>): string {
  const shown = Object.entries(values).map(([name, value]) => `${name} = ${JSON.stringify(shorten(value))}`);
  return shown.join(", ");
}

/** The last group varies fastest. */
function placesOf(groups: readonly Column[][], index: number): { column: Column; value: unknown }[] {
  const places: { column: Column; value: unknown }[] = [];
  let rest = index;
  for (const group of groups.toReversed()) {
    const length = group[0]?.length ?? 1;
    const place = rest % length;
    rest = Math.floor(rest / length);
    places.unshift(...group.map((column) => ({ column, value: column.at(place) })));
  }
  return places;
}

function jobWith(
  base: Record<string, unknown>,
  places: readonly { column: Column; value: unknown }[],
): Record<string, unknown> {
  const job = { ...base };
  let workflow: Record<string, unknown> | undefined;
  for (const { column, value } of places) {
    if (column.inputs === undefined) Object.defineProperty(job, column.name, { ...plain, value });
    for (const { nodeId, input } of column.inputs ?? []) {
      workflow ??= { ...objectAt(base, "workflow") };
      const node = objectAt(workflow, nodeId);
      const inputs = { ...objectAt(node, "inputs") };
      Object.defineProperty(inputs, input, { ...plain, value });
      Object.defineProperty(workflow, nodeId, { ...plain, value: { ...node, inputs } });
    }
  }
  return workflow === undefined ? job : { ...job, workflow };
}

/** A property like any other, also where its name is `__proto__`. */
const plain = { configurable: true, enumerable: true, writable: true };

function fieldColumn(name: string, values: unknown[]): Column {
  if (name === "type" || name === "workflow") {
    throw refused(`vary.${name}`, "unknown-field", "is the same for all jobs of a sweep");
  }
  return { name, length: values.length, at: (index) => values[index], given: values };
}

function inputColumn(name: string, values: unknown[], base: Record<string, unknown>): Column {
  const workflow = objectAt(base, "workflow");
  // Ids of nodes and names of inputs may have points in them.
  const places = [...name.matchAll(/\./g)].map(({ index }) => ({
    nodeId: name.slice(0, index),
    input: name.slice(index + 1),
  }));
  const place = places.find(({ nodeId, input }) =>
    Object.hasOwn(objectAt(objectAt(workflow, nodeId), "inputs"), input),
  );
  if (place === undefined) {
    throw refused(`nodeInputs.${name}`, "unknown-field", "names no input that the workflow of the base has");
  }
  return { name, length: values.length, at: (index) => values[index], given: values, inputs: [place] };
}

function columnOfSeeds(
  seeds: unknown[] | z.output<typeof countedSeeds> | z.output<typeof seedRange>,
  base: Record<string, unknown>,
): Column {
  const inputs = base["type"] === "workflow" ? seedInputs(objectAt(base, "workflow")) : undefined;
  if (inputs?.length === 0) {
    throw refused("seeds", "unknown-field", "needs an input named seed or noise_seed with a number in it");
  }
  const named = { name: "seed", ...(inputs !== undefined && { inputs }) };
  if (Array.isArray(seeds))
    return { ...named, length: seeds.length, at: (index) => seeds[index], given: seeds };
  const { from } = seeds;
  const length = "to" in seeds ? seeds.to - from + 1 : seeds.count;
  if (length < 1) throw refused("seeds", "out-of-bounds", "ends before it begins");
  if (!Number.isSafeInteger(from + length - 1)) {
    throw refused("seeds", "out-of-bounds", "goes beyond 2^53−1; list such seeds one by one");
  }
  return { ...named, length, at: (index) => from + index };
}

function seedInputs(workflow: Record<string, unknown>): { nodeId: string; input: string }[] {
  return Object.keys(workflow).flatMap((nodeId) => {
    const inputs = objectAt(objectAt(workflow, nodeId), "inputs");
    return ["seed", "noise_seed"]
      .filter((input) => Object.hasOwn(inputs, input) && numberOf(inputs[input]) !== undefined)
      .map((input) => ({ nodeId, input }));
  });
}

function zipped(lists: Column[]): Column[] {
  const lengths = lists.map(({ name, length }) => `${name} has ${length}`);
  if (new Set(lists.map(({ length }) => length)).size > 1) {
    throw refused("combine", "invalid-value", `zip needs lists of one length; ${lengths.join(", ")}`);
  }
  return lists;
}

/** Two lists that set the same would hide each other. */
function assertApart(columns: readonly Column[]): void {
  const set = new Set<string>();
  for (const { name, inputs } of columns) {
    for (const place of inputs?.map(({ nodeId, input }) => `${nodeId}.${input}`) ?? [`field ${name}`]) {
      if (set.has(place)) throw refused("", "invalid-value", `sets ${name} by two of its lists`);
      set.add(place);
    }
  }
}

interface Size {
  values: number;
  characters: number;
}

/** What `count` jobs have together. Each value of a list comes in an equal part of them. */
function sizeOfAll(base: unknown, columns: readonly Column[], count: number): Size {
  const { values, characters } = sizeOf(base);
  const all = { values: values * count, characters: characters * count };
  for (const { given = [], length, inputs } of columns) {
    const times = (count / length) * (inputs?.length ?? 1);
    for (const value of given) {
      const size = sizeOf(value);
      all.values += size.values * times;
      all.characters += size.characters * times;
    }
  }
  return all;
}

/** Members and items, and roughly the characters of its text. */
function sizeOf(value: unknown): Size {
  const size = { values: 0, characters: 0 };
  const waiting = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    size.values += 1;
    if (typeof next === "string") size.characters += next.length;
    if (typeof next === "object" && next !== null && numberOf(next) === undefined) {
      for (const [name, member] of Object.entries(next)) {
        size.characters += name.length;
        waiting.push(member ?? null);
      }
    }
  }
  return size;
}

function objectAt(value: Record<string, unknown>, name: string): Record<string, unknown> {
  const member = Object.hasOwn(value, name) ? value[name] : undefined;
  return isObject(member) ? member : {};
}

function refused(path: string, code: string, reason: string): InvalidJobError {
  const at = path === "" ? "sweep" : `sweep.${path}`;
  const problem: JobProblem = { path: at, code, message: `${at} ${reason}.` };
  return new InvalidJobError([problem]);
}
