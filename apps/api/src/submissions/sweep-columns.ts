import { isObject, numberOf } from "@genga/comfyui";
import { InvalidJobError, type JobProblem } from "@genga/jobs";
import { parametersOfType } from "@genga/workflows";
import { z } from "zod";
import { type UsableTemplate } from "./request-templates.ts";

const seed = z.int().min(0);
export const countedSeeds = z.strictObject({ count: z.int().min(1).max(10_000), from: seed.default(0) });
export const seedRange = z.strictObject({ from: seed, to: seed });
export type Seeds = unknown[] | z.output<typeof countedSeeds> | z.output<typeof seedRange>;

/** One list of a sweep. */
export interface Column {
  /** As the request names it: `steps`, `3.cfg`, `seed`. */
  name: string;
  length: number;
  at: (index: number) => unknown;
  /** Its values, unless they are numbers of a range. */
  given?: unknown[];
  /** What it changes: inputs of the workflow's nodes, or values of the template; absent = the job's field of its name. */
  inputs?: { nodeId: string; input: string }[];
  values?: readonly string[];
}

export function fieldColumn(name: string, values: unknown[]): Column {
  if (["type", "workflow", "template", "values"].includes(name)) {
    const hint = name === "values" ? "; the sweep's own values vary the template's parameters" : "";
    throw refused(`vary.${name}`, "unknown-field", `is the same for all jobs of a sweep${hint}`);
  }
  return { name, length: values.length, at: (index) => values[index], given: values };
}

export function inputColumn(name: string, values: unknown[], base: Record<string, unknown>): Column {
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

/** @param template of the base; absent = it has none */
export function valueColumn(name: string, list: unknown[], template: UsableTemplate | undefined): Column {
  if (template === undefined)
    throw refused("values", "unknown-field", "needs a template in the base, whose parameters it varies");
  const { definition } = template;
  if (definition !== null && !Object.hasOwn(definition.parameters, name))
    throw refused(`values.${name}`, "unknown-field", "names no parameter that the template of the base has");
  return { name, length: list.length, at: (index) => list[index], given: list, values: [name] };
}

function seedsOfTemplate({ definition }: UsableTemplate): string[] {
  if (definition === null) return ["seed"];
  const names = parametersOfType(definition, "seed");
  if (names.length === 0)
    throw refused(
      "seeds",
      "unknown-field",
      "needs a parameter of the type seed, which the template does not have",
    );
  return names;
}

export function columnOfSeeds(
  seeds: Seeds,
  base: Record<string, unknown>,
  template: UsableTemplate | undefined,
): Column {
  const inputs =
    template === undefined && base["type"] === "workflow"
      ? seedInputs(objectAt(base, "workflow"))
      : undefined;
  if (inputs?.length === 0) {
    throw refused("seeds", "unknown-field", "needs an input named seed or noise_seed with a number in it");
  }
  const values = template === undefined ? undefined : seedsOfTemplate(template);
  const named = {
    ...{ name: "seed" },
    ...(inputs !== undefined && { inputs }),
    ...(values !== undefined && { values }),
  };
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

export function zipped(lists: Column[]): Column[] {
  const lengths = lists.map(({ name, length }) => `${name} has ${length}`);
  if (new Set(lists.map(({ length }) => length)).size > 1) {
    throw refused("combine", "invalid-value", `zip needs lists of one length; ${lengths.join(", ")}`);
  }
  return lists;
}

/** Two lists that set the same would hide each other. */
export function assertApart(columns: readonly Column[]): void {
  const set = new Set<string>();
  for (const { name, inputs, values } of columns) {
    const places =
      inputs?.map(({ nodeId, input }) => `${nodeId}.${input}`) ?? values?.map((value) => `value ${value}`);
    for (const place of places ?? [`field ${name}`]) {
      if (set.has(place)) throw refused("", "invalid-value", `sets ${name} by two of its lists`);
      set.add(place);
    }
  }
}

export function objectAt(value: Record<string, unknown>, name: string): Record<string, unknown> {
  const member = Object.hasOwn(value, name) ? value[name] : undefined;
  return isObject(member) ? member : {};
}

export function refused(path: string, code: string, reason: string): InvalidJobError {
  const at = path === "" ? "sweep" : `sweep.${path}`;
  const problem: JobProblem = { path: at, code, message: `${at} ${reason}.` };
  return new InvalidJobError([problem]);
}
