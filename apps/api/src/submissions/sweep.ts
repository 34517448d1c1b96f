import { isObject } from "@genga/comfyui";
import { InvalidJobError } from "@genga/jobs";
import { problemsOf, shorten } from "@genga/workflows";
import { z } from "zod";
import { RequestTemplates, sizeInGraph, sizeOfValues, type UsableTemplate } from "./request-templates.ts";
import {
  assertApart,
  columnOfSeeds,
  countedSeeds,
  fieldColumn,
  inputColumn,
  objectAt,
  refused,
  seedRange,
  valueColumn,
  zipped,
  type Column,
} from "./sweep-columns.ts";
import { addSize, sizeOf, sizeOfAllMax, type ValueSize } from "./value-size.ts";

/** The most lists of a sweep. */
const listsMax = 20;
const { values: valuesMax, characters: charactersMax } = sizeOfAllMax;

/** The schema of a sweep, whose base is a job like one of a batch's list. @param jobsMax the most jobs of a batch */
export function sweepSchema<Base extends z.ZodType>(
  base: Base,
  jobsMax: number,
): z.ZodObject<{
  base: Base;
  vary: z.ZodOptional<z.ZodRecord<z.ZodString, z.ZodArray<z.ZodUnknown>>>;
  nodeInputs: z.ZodOptional<z.ZodRecord<z.ZodString, z.ZodArray<z.ZodUnknown>>>;
  values: z.ZodOptional<z.ZodRecord<z.ZodString, z.ZodArray<z.ZodUnknown>>>;
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
    values: lists.optional().describe("Values of a template's parameters: `steps: [20, 30]`."),
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
          "`noise_seed`; of a template all parameters of the type seed.",
      ),
  });
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
export function readSweep(body: unknown, jobsMax: number, templates = new RequestTemplates()): Sweep {
  const schema = sweepSchema(z.unknown(), jobsMax);
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, schema, body, "sweep"));
  const { base, vary = {}, nodeInputs = {}, values: varied = {}, combine, seeds } = parsed.data;
  if (!isObject(base)) throw refused("base", "wrong-type", "must be a job, which is a JSON object");
  const template = templateOf(base, templates);
  const lists = [
    ...Object.entries(vary).map(([name, values]) => fieldColumn(name, values)),
    ...Object.entries(nodeInputs).map(([name, values]) => inputColumn(name, values, base)),
    ...Object.entries(varied).map(([name, values]) => valueColumn(name, values, template)),
  ];
  const seedColumn = seeds === undefined ? undefined : columnOfSeeds(seeds, base, template);
  if (lists.length > listsMax) throw refused("vary", "out-of-bounds", `may have at most ${listsMax} lists`);
  if (lists.length === 0 && seedColumn === undefined) {
    throw refused(
      "vary",
      "missing-field",
      "is missing, and so are nodeInputs, values and seeds; one of them is needed",
    );
  }
  assertApart([...lists, ...(seedColumn === undefined ? [] : [seedColumn])]);
  const groups = combine === "zip" && lists.length > 0 ? [zipped(lists)] : lists.map((list) => [list]);
  if (seedColumn !== undefined) groups.push([seedColumn]);
  const count = groups.reduce((product, [first]) => product * (first?.length ?? 1), 1);
  if (count > jobsMax) {
    throw refused("", "out-of-bounds", `has ${count} jobs; a batch may have at most ${jobsMax}`);
  }
  const { values, characters } = sizeOfAll(base, [...lists, ...(seedColumn ? [seedColumn] : [])], {
    count,
    template,
  });
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

/** @throws InvalidJobError when the base names a template that is not there */
function templateOf(base: Record<string, unknown>, templates: RequestTemplates): UsableTemplate | undefined {
  if (!Object.hasOwn(base, "template")) return undefined;
  const found = templates.find(base["template"]);
  if ("template" in found) return found.template;
  throw new InvalidJobError([{ ...found.problem, path: `sweep.base.${found.problem.path}` }]);
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
  let values: Record<string, unknown> | undefined;
  for (const { column, value } of places) {
    for (const name of column.values ?? []) {
      values ??= { ...objectAt(base, "values") };
      Object.defineProperty(values, name, { ...plain, value });
    }
    if (column.inputs === undefined && column.values === undefined)
      Object.defineProperty(job, column.name, { ...plain, value });
    for (const { nodeId, input } of column.inputs ?? []) {
      workflow ??= { ...objectAt(base, "workflow") };
      const node = objectAt(workflow, nodeId);
      const inputs = { ...objectAt(node, "inputs") };
      Object.defineProperty(inputs, input, { ...plain, value });
      Object.defineProperty(workflow, nodeId, { ...plain, value: { ...node, inputs } });
    }
  }
  return {
    ...job,
    ...(workflow !== undefined && { workflow }),
    ...(values !== undefined && { values }),
  };
}

/** A property like any other, also where its name is `__proto__`. */
const plain = { configurable: true, enumerable: true, writable: true };

/**
 * What `count` jobs have together, with the graphs that a template makes of them. Each value of a list comes in an equal
 * part of the jobs; a value of a template comes as often as it has targets.
 */
function sizeOfAll(
  base: Record<string, unknown>,
  columns: readonly Column[],
  { count, template }: { count: number; template: UsableTemplate | undefined },
): ValueSize {
  const all = { values: 0, characters: 0 };
  addSize(all, sizeOf(base), count);
  if (template !== undefined) {
    const varied = columns.flatMap(({ values = [] }) => values.map((name) => [name, null]));
    addSize(all, template.size, count);
    addSize(
      all,
      sizeOfValues(template, { ...objectAt(base, "values"), ...Object.fromEntries(varied) }),
      count,
    );
  }
  for (const { given = [], length, inputs, values: names } of columns) {
    const times = count / length;
    for (const value of given) {
      addSize(all, sizeOf(value), times * (inputs?.length ?? names?.length ?? 1));
      if (template === undefined) continue;
      for (const name of names ?? []) addSize(all, sizeInGraph(template, name, value), times);
    }
  }
  return all;
}
