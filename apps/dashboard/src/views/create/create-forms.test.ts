import { expect, test } from "@jest/globals";
import { GengaError } from "@genga/client";
import { suggestions, templateText } from "./template-body.ts";
import { readCreateSearch, readImage } from "./create-search.ts";
import { groupsOf } from "./field-groups.ts";
import { batchText, bodyOf, jobText, withoutSecrets } from "./job-body.ts";
import { fieldsOf, type Schema } from "./job-fields.ts";
import { indentedJson, placeOfNode, readGraphText } from "./json-text.ts";
import { refusalOf } from "./refusals.ts";
import { countOf, emptySweep, sweepOf } from "./sweep-body.ts";
import { templateFields } from "./template-fields.ts";
import { variablesOf } from "./variables.ts";

const text = { type: "string", maxLength: 10_000 };
const schema: Schema = {
  type: "object",
  required: ["prompt"],
  properties: {
    type: { type: "string", const: "image" },
    prompt: text,
    steps: { type: "integer", minimum: 1, maximum: 100, default: 20 },
    cfg: { type: "number" },
    seed: { anyOf: [{ type: "integer" }, { type: "string" }] },
    initImage: { anyOf: [{ type: "string", format: "uuid" }, { type: "object" }] },
    tags: { type: "array", items: { type: "string" } },
    loras: {
      type: "array",
      items: { type: "object", properties: { name: { type: "string" }, strength: { type: "number" } } },
    },
    hiresFix: { type: "object", properties: { scale: { type: "number" } } },
    runAt: { type: "string", format: "date-time" },
    reuse: { type: "boolean" },
    somethingNew: { type: "string" },
  },
};
const fields = fieldsOf(schema);

test("the fields of a form are those of the schema, also those that this page does not know", () => {
  expect(fields.map(({ name, kind }) => [name, kind])).toEqual([
    ...[
      ["prompt", "long-text"],
      ["steps", "integer"],
      ["cfg", "number"],
      ["seed", "seed"],
      ["initImage", "file"],
    ],
    ...[
      ["tags", "texts"],
      ["loras", "entries"],
      ["hiresFix.scale", "number"],
      ["runAt", "time"],
    ],
    ...[
      ["reuse", "boolean"],
      ["somethingNew", "text"],
    ],
  ]);
  expect(fields[1]).toMatchObject({ label: "Steps", min: 1, max: 100, default: 20, isRequired: false });
  const { first, folded } = groupsOf(fields);
  expect([...first, ...folded.flatMap((group) => group.fields)].toSorted(byName)).toEqual(
    fields.toSorted(byName),
  );
});

const byName = (one: { name: string }, other: { name: string }): number => one.name.localeCompare(other.name);

test("a body has what was typed, with the types of the schema, and nothing for empty inputs", () => {
  const body = bodyOf(fields, {
    ...{ prompt: "a cat", steps: "24", cfg: "", seed: "18446744073709551615", tags: ["a"], reuse: true },
    ...{ "hiresFix.scale": "1.5", loras: [{ name: "x", strength: "0.5" }, { name: "y" }] },
    initImage: { id: "u", name: "cat.png", bytes: 1, width: 1, height: 1 },
  });
  expect(body).toEqual({
    ...{ prompt: "a cat", steps: 24, seed: "18446744073709551615", tags: ["a"], reuse: true, initImage: "u" },
    ...{ hiresFix: { scale: 1.5 }, loras: [{ name: "x", strength: 0.5 }, { name: "y" }] },
  });
});

test("what is no number is sent as it was typed, for the API to refuse", () => {
  expect(bodyOf(fields, { steps: "many", cfg: "1e999", runAt: "soon" })).toEqual({
    ...{ steps: "many", cfg: "1e999", runAt: "soon" },
  });
});

test("graphs keep all digits of their numbers", () => {
  const graph = '{"3":{"inputs":{"seed":18446744073709551615}}}';
  const job = jobText({ type: "workflow" }, graph);
  expect(job).toBe(`{"type":"workflow","workflow":${graph}}`);
  expect(batchText(job, undefined, { dryRun: true })).toBe(`{"dryRun":true,"jobs":[${job}]}`);
  expect(batchText(job, { vary: { steps: [1] } }, {})).toBe(`{"sweep":{"base":${job},"vary":{"steps":[1]}}}`);
  expect(indentedJson(graph)).toBe(
    '{\n  "3": {\n    "inputs": {\n      "seed": 18446744073709551615\n    }\n  }\n}',
  );
});

test("Python's numbers that are none become null, and texts stay as they are", () => {
  const shown = indentedJson('{"a":[NaN,-Infinity,Infinity],"b":"NaN, {\\"x\\": [1]}","c":{},"d":[]}');
  expect(JSON.parse(shown)).toEqual({ a: [null, null, null], b: 'NaN, {"x": [1]}', c: {}, d: [] });
});

test("a text that is no graph says why", () => {
  expect(readGraphText("").problem).toMatch(/Paste/);
  expect(readGraphText("{").problem).toMatch(/no JSON/);
  expect(readGraphText("[1]").problem).toMatch(/nodes by their ids/);
  expect(readGraphText("{}").text).toBe("{}");
});

test("the node of a refusal is found in the text, and not the links to it", () => {
  const graph = '{"1":{"inputs":{"model":["3",0]}},"3" : {}}';
  expect(placeOfNode(graph, "3")).toBe(graph.indexOf('"3" :'));
  expect(placeOfNode(graph, "9")).toBe(-1);
});

test("refusals stand at the fields that they name, wherever the job stands in the body", () => {
  const refused = (problems: object[]): GengaError =>
    new GengaError({
      ...{ status: 422, code: "x", title: "Not valid", detail: "" },
      problems: problems as never,
    });
  const error = refused([
    { path: "steps", code: "a", message: "too many" },
    { path: "jobs.3.loras.0.name", code: "a", message: "unknown", accepted: ["one", "two"] },
    { path: "sweep.base.cfg", code: "a", message: "too low" },
    { path: "workflow.7.inputs.seed", code: "a", message: "bad", nodeId: "7", input: "seed" },
    { path: "elsewhere", code: "a", message: "odd" },
  ]);
  const refusal = refusalOf(error, new Set(["steps", "loras", "cfg", "workflow"]));
  expect(Object.fromEntries(refusal.fields)).toEqual({
    ...{ steps: "too many", loras: "unknown (accepted: one, two)", cfg: "too low" },
  });
  expect(refusal.others).toEqual([{ nodeId: "7", text: "Node 7, seed: bad" }, { text: "elsewhere: odd" }]);
});

test("a sweep is counted as its lists are combined", () => {
  const rows = [
    { name: "steps", values: "10\n20\n\n 30 " },
    { name: "sampler", values: "euler\n123" },
    { name: "", values: "left out" },
  ];
  const kinds = new Map([
    ["steps", "integer"],
    ["sampler", "text"],
  ] as const);
  expect(countOf(emptySweep)).toBe(1);
  expect(countOf({ ...emptySweep, rows, seedsCount: "4" })).toBe(24);
  expect(countOf({ ...emptySweep, rows, combine: "zip" })).toBe(2);
  expect(sweepOf("image", { ...emptySweep, rows, seedsCount: "4", seedsFrom: "7" }, kinds)).toEqual({
    ...{ vary: { steps: [10, 20, 30], sampler: ["euler", "123"] }, seeds: { count: 4, from: 7 } },
  });
  expect(
    sweepOf("workflow", { ...emptySweep, rows: [{ name: "3.cfg", values: "6.5\ntrue\nx" }] }, new Map()),
  ).toEqual({
    nodeInputs: { "3.cfg": [6.5, true, "x"] },
  });
});

test("a template's parameters are fields, and a number that is chosen is sent as a number", () => {
  const ofTemplate = templateFields({
    colour: { type: "integer", isRequired: true, min: 0, max: "18446744073709551615" },
    size: { type: "choice", isRequired: false, choices: [256, 512], default: 512 },
    odd: { type: "object", isRequired: false },
  });
  expect(ofTemplate.map(({ name }) => name)).toEqual(["values.colour", "values.size"]);
  expect(bodyOf(ofTemplate, { "values.colour": "7", "values.size": "256" })).toEqual({
    values: { colour: 7, size: 256 },
  });
  expect(groupsOf([...fields, ...ofTemplate]).first.slice(0, 2)).toEqual(ofTemplate);
  expect(variablesOf("template", ofTemplate, "").map(({ name }) => name)).toEqual(["colour", "size"]);
});

test("a sweep of a graph can vary the values of its nodes, and no links", () => {
  const graph = '{"3":{"inputs":{"cfg":7,"model":["1",0]}},"4":null}';
  expect(variablesOf("workflow", [], graph).map(({ name }) => name)).toEqual(["3.cfg"]);
  expect(variablesOf("workflow", [], "{")).toEqual([]);
});

test("a graph becomes a template with the chosen values as parameters, and keeps the digits of its numbers", () => {
  const graph = '{"3":{"class_type":"KSampler","inputs":{"seed":18446744073709551615}}}';
  const steps = { type: "integer", default: 20, targets: [{ node: "3", input: "steps" }] };
  const prompt = { type: "string", default: "x".repeat(90), targets: [{ node: "6", input: "text" }] };
  const suggested = suggestions({ steps, prompt, seed: { type: "seed" } });
  expect(suggested.map(({ name, detail }) => [name, detail])).toEqual([
    ["steps", "integer, now 20 (node 3.steps)"],
    ["prompt", `string, now ${"x".repeat(60)}… (node 6.text)`],
    ["seed", "seed (node )"],
  ]);
  const chosen = suggested.slice(0, 1);
  expect(templateText({ name: "sheet", description: " ", chosen, graph })).toBe(
    `{"name":"sheet","parameters":{"steps":${JSON.stringify(steps)}},"workflow":${graph}}`,
  );
  expect(templateText({ description: "Two\nlines", chosen: [], graph })).toBe(
    `{"description":"Two\\nlines","parameters":{},"workflow":${graph}}`,
  );
});

test("the secret of a webhook is sent, and no draft has it", () => {
  const events = { type: "array", items: { type: "string", enum: ["job.completed", "job.failed"] } };
  const [url, told, secret] = fieldsOf({
    properties: {
      webhook: {
        type: "object",
        properties: {
          url: { type: "string", format: "uri", maxLength: 2_000 },
          events,
          secret: { type: "string" },
        },
      },
    },
  });
  expect(url).toMatchObject({ name: "webhook.url", kind: "text" });
  expect(told).toMatchObject({ kind: "texts", choices: ["job.completed", "job.failed"] });
  expect(secret).toMatchObject({ name: "webhook.secret", kind: "secret" });
  const typed = { "webhook.url": "https://hooks.example.com", "webhook.secret": "whsec_s3cret" };
  expect(bodyOf([url!, told!, secret!], typed)).toEqual({
    webhook: { url: "https://hooks.example.com", secret: "whsec_s3cret" },
  });
  expect(JSON.stringify(withoutSecrets(typed))).toBe('{"webhook.url":"https://hooks.example.com"}');
  expect(variablesOf("image", [url!, secret!], "")).toEqual([]);
});

test("what an address does not say right is left out", () => {
  expect(readCreateSearch({ kind: "video", sweep: true, template: 7 })).toEqual({
    ...{ kind: "video", sweep: true, template: "7" },
  });
  expect(readCreateSearch({ kind: "hack", sweep: "yes", template: ["x"], image: "x.0" })).toEqual({});
});

test("an output of another job is sent by its job and index, and can come by the address", () => {
  const from = "0190b8a0-0000-7000-8000-00000000dead";
  const { image } = readCreateSearch({ image: `${from}.3` });
  const initImage = readImage(image);
  expect(initImage).toEqual({ from, output: "3" });
  expect(bodyOf(fields, { initImage })).toEqual({ initImage: { from, output: 3 } });
  // What is no index is the API's to refuse.
  const typed = { initImage: { from: "hero", output: "first" } };
  expect(bodyOf(fields, typed)).toEqual({ initImage: { from: "hero", output: "first" } });
  expect([undefined, "", from, `${from}.`, `${from}.-1`, `${from}.0x`].map(readImage)).toEqual(
    Array.from({ length: 6 }),
  );
});
