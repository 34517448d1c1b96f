import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { z } from "zod";
import { problemDocumentSchema } from "../src/http/problem-document.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
const acceptedSchema = z.object({
  id: z.uuid(),
  status: z.literal("queued"),
  links: z.record(z.string(), z.string()),
  warnings: z.array(z.string()),
});

beforeAll(async () => {
  api = await startApiUnderTest();
  const definitions = await recordedDefinitions("core", "animatediff", "video-helper-suite");
  serverId = await api.worker.registerServer("http://comfyui.test:8188", definitions);
});
afterAll(() => api.stop());

async function accepted(response: Response): Promise<z.infer<typeof acceptedSchema>> {
  const body: unknown = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status: 202 });
  return acceptedSchema.parse(body);
}

async function refused(response: Response): Promise<z.infer<typeof problemDocumentSchema>> {
  expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  const document = problemDocumentSchema.parse(await response.json());
  expect(document.status).toBe(response.status);
  expect(document.type).toBe(`urn:genga:problem:${document.code}`);
  return document;
}

async function countJobs(): Promise<number> {
  const { counts } = await api.database.jobReader.summarizeQueue();
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

const rawGraph = {
  "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
  "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
};

describe("an accepted job", () => {
  test("is answered with 202, its id and links, and found at once by every process", async () => {
    const another = await api.startAnother();
    for (let round = 0; round < 20; round += 1) {
      const response = await api.post("generate", { type: "image", prompt: `cat ${round}` });
      const { id, links } = await accepted(response);
      expect(response.headers.get("location")).toBe(`${api.url}/api/anime/jobs/${id}`);
      for (const base of [api.url, another.url]) {
        expect(links["self"]).toBe(`${api.url}/api/anime/jobs/${id}`);
        for (const path of [`/api/anime/job/${id}`, `/api/anime/jobs/${id}`]) {
          const found = await api.request(base + path);
          expect(found.status).toBe(200);
          expect(await found.json()).toMatchObject({ id, status: "queued", phase: "waiting", type: "image" });
        }
      }
    }
  });

  test.each<[string, string, Record<string, unknown>, string]>([
    ["an image by its own path", "generate/image", { prompt: "a cat" }, "image"],
    ["an image whose type is repeated", "generate/image", { type: "image", prompt: "a cat" }, "image"],
    ["a video by its own path", "generate/video", { prompt: "a cat", durationSeconds: 1 }, "video"],
    ["a video", "generate", { type: "video", prompt: "a cat" }, "video"],
    ["a raw graph", "generate", { type: "workflow", workflow: rawGraph }, "workflow"],
  ])("may be %s", async (_name, path, body, type) => {
    const { id } = await accepted(await api.post(path, body));
    expect(await (await api.request(`jobs/${id}`)).json()).toMatchObject({ type });
  });

  test("keeps its options, its parameters with defaults and seed, and its graph", async () => {
    const options = { priority: "high", project: "film", tags: ["a", "b"], attemptsMax: 3, timeoutMs: 5000 };
    const { id } = await accepted(
      await api.post("generate", { type: "image", prompt: "a cat", steps: 3, ...options }),
    );
    expect(await (await api.request(`jobs/${id}`)).json()).toMatchObject(options);
    const { parameters } = (await (await api.request(`jobs/${id}/parameters`)).json()) as {
      parameters: Record<string, unknown>;
    };
    expect(parameters).toMatchObject({ prompt: "a cat", steps: 3, width: 512, cfg: 7 });
    const workflow = (await (await api.request(`jobs/${id}/workflow`)).json()) as Record<
      string,
      { class_type: string; inputs: Record<string, unknown> }
    >;
    const sampler = Object.values(workflow).find((node) => node.class_type === "KSampler");
    expect(sampler!.inputs["seed"]).toBe(parameters["seed"]);
  });

  test("may be written as Python writes it: whole floats are numbers like any other", async () => {
    const body = `{"type":"image","prompt":"a cat","width":512.0,"cfg":7.0,"seed":12.0,"attemptsMax":2.0,"timeoutMs":6e4}`;
    const { id } = await accepted(await api.post("generate", body));
    expect(await (await api.request(`jobs/${id}`)).json()).toMatchObject({
      attemptsMax: 2,
      timeoutMs: 60_000,
    });
    expect(await (await api.request(`jobs/${id}/parameters`)).json()).toMatchObject({
      parameters: { width: 512, cfg: 7, seed: 12 },
    });
  });

  test.each(["18446744073709551615", "9007199254740993", "9007199254740991"])(
    "keeps the seed %s, and shows it as text where a JSON number would be rounded",
    async (seed) => {
      for (const given of [seed, `"${seed}"`]) {
        const { id } = await accepted(
          await api.post("generate", `{"type":"image","prompt":"a cat","seed":${given}}`),
        );
        const shown = Number.isSafeInteger(Number(seed)) ? seed : `"${seed}"`;
        expect(await (await api.request(`jobs/${id}/parameters`)).text()).toContain(`"seed":${shown}`);
        expect(await (await api.request(`jobs/${id}/workflow`)).text()).toMatch(
          new RegExp(`"seed": ?${shown}`),
        );
      }
    },
  );

  test("with a graph that a server would silently change comes with a warning", async () => {
    const workflow = {
      ...rawGraph,
      "1": { ...rawGraph["1"], inputs: { ...rawGraph["1"].inputs, width: "64" } },
    };
    const { warnings } = await accepted(await api.post("generate", { type: "workflow", workflow }));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("width");
  });
});

describe("a refusal names what is wrong, and nothing is stored:", () => {
  const image = { type: "image", prompt: "a cat" };
  const graph = (changes: Record<string, unknown>): object => ({
    type: "workflow",
    workflow: { ...rawGraph, ...changes },
  });

  test.each<[string, unknown, number, string, string[]]>([
    ["malformed JSON", "{", 400, "malformed-json", []],
    ["an empty body", "", 422, "missing-field", ["type"]],
    ["a list", [], 422, "invalid-field", [""]],
    ["a number that JavaScript would round", "9007199254740993", 422, "invalid-field", [""]],
    ["null", "null", 422, "invalid-field", [""]],
    ["no type", { prompt: "a cat" }, 422, "missing-field", ["type"]],
    ["an unknown type", { type: "music", prompt: "a cat" }, 422, "unknown-type", ["type"]],
    ["a type that is no text", { type: 7 }, 422, "unknown-type", ["type"]],
    ["no prompt", { type: "image" }, 422, "missing-field", ["prompt"]],
    ["an unknown field", { ...image, size: 3 }, 422, "unknown-field", ["size"]],
    ["a width that is too small", { ...image, width: 248 }, 422, "out-of-bounds", ["width"]],
    ["a height off the grid", { ...image, height: 1001 }, 422, "out-of-bounds", ["height"]],
    ["too many steps", { ...image, steps: 101 }, 422, "out-of-bounds", ["steps"]],
    ["too high a cfg", { ...image, cfg: 20.5 }, 422, "out-of-bounds", ["cfg"]],
    ["a negative seed", { ...image, seed: -1 }, 422, "out-of-bounds", ["seed"]],
    [
      "too long a video",
      { type: "video", prompt: "x", durationSeconds: 11 },
      422,
      "out-of-bounds",
      ["durationSeconds"],
    ],
    ["too few frames a second", { type: "video", prompt: "x", fps: 7 }, 422, "out-of-bounds", ["fps"]],
    ["an unknown sampler", { ...image, sampler: "best" }, 422, "invalid-field", ["sampler"]],
    ["an unknown priority", { ...image, priority: "asap" }, 422, "invalid-field", ["priority"]],
    ["too short a timeout", { ...image, timeoutMs: 1 }, 422, "out-of-bounds", ["timeoutMs"]],
    ["a tag that is no text", { ...image, tags: ["a", 7] }, 422, "invalid-field", ["tags.1"]],
    ["a project that cannot be stored", { ...image, project: "a\0" }, 422, "out-of-bounds", ["project"]],
    ["a prompt that cannot be stored", { ...image, prompt: "a\ud800" }, 422, "invalid-field", ["prompt"]],
    ["a model that nobody has", { ...image, model: "x.safetensors" }, 422, "unknown-model", ["model"]],
    [
      "three things at once",
      { ...image, width: 1, steps: 0, priority: "asap", extra: 1 },
      422,
      "invalid-request",
      ["priority", "width", "steps", "extra"],
    ],
    [
      "too large a seed",
      `{"type":"image","prompt":"x","seed":18446744073709551616}`,
      422,
      "out-of-bounds",
      ["seed"],
    ],
    [
      "too large a number in a graph",
      `{"type":"workflow","workflow":${JSON.stringify(rawGraph).replace('"color":0', '"color":18446744073709551616')}}`,
      422,
      "invalid-graph",
      ["workflow.1.inputs.color"],
    ],
    [
      "a number of a graph without end",
      `{"type":"workflow","workflow":{"a":-1e400}}`,
      422,
      "out-of-bounds",
      ["workflow.a"],
    ],
    [
      "an option that is too large",
      `{"type":"image","prompt":"x","timeoutMs":1e300}`,
      422,
      "out-of-bounds",
      ["timeoutMs"],
    ],
    ["a number without end", `{"type":"image","prompt":"x","cfg":1e400}`, 422, "out-of-bounds", ["cfg"]],
    ["__proto__", `{"type":"image","prompt":"x","__proto__":{"a":1}}`, 422, "invalid-field", ["__proto__"]],
    ["no graph", { type: "workflow" }, 422, "missing-field", ["workflow"]],
    ["a graph that is null", { type: "workflow", workflow: null }, 422, "invalid-graph", ["workflow"]],
    ["a graph that is a text", { type: "workflow", workflow: "x" }, 422, "invalid-graph", ["workflow"]],
    ["a graph that is a list", { type: "workflow", workflow: [] }, 422, "invalid-graph", ["workflow"]],
    ["an empty graph", { type: "workflow", workflow: {} }, 422, "invalid-graph", ["workflow"]],
    [
      "a node without inputs, which would kill the server",
      graph({ "9": { class_type: "EmptyImage" } }),
      422,
      "invalid-graph",
      ["workflow.9"],
    ],
    ["a node that is no object", graph({ "9": 3 }), 422, "invalid-graph", ["workflow.9"]],
    [
      "an unknown node class",
      graph({ "9": { class_type: "Nope", inputs: {} } }),
      422,
      "unknown-node-class",
      ["workflow.9"],
    ],
    [
      "extra_data, which would kill the server",
      { type: "workflow", workflow: rawGraph, extra_data: null },
      422,
      "unknown-field",
      ["extra_data"],
    ],
    [
      "a client id, which would kill the server",
      { type: "workflow", workflow: rawGraph, client_id: [] },
      422,
      "unknown-field",
      ["client_id"],
    ],
  ])("%s", async (_name, body, status, code, paths) => {
    const before = await countJobs();
    const document = await refused(await api.post("generate", body));
    expect(document).toMatchObject({ status, code });
    expect((document.problems ?? []).map(({ path }) => path)).toEqual(paths);
    expect(await countJobs()).toBe(before);
  });

  const rightForm = '{"type":"workflow","workflow":<graph>}';
  const editorGraph = {
    ...{ last_node_id: 2, last_link_id: 1, groups: [], config: {}, extra: {}, version: 0.4 },
    nodes: [
      { id: 1, type: "EmptyImage", pos: [0, 0], widgets_values: [64, 64, 1, 0] },
      { id: 2, type: "SaveImage", pos: [9, 0], widgets_values: ["x"] },
    ],
    links: [[1, 1, 0, 2, 0, "IMAGE"]],
  };

  test.each<[string, string, unknown, string, string]>([
    ["as the body", "generate", rawGraph, "", "misplaced-graph"],
    ["as ComfyUI takes it", "generate", { prompt: rawGraph, client_id: "x" }, "prompt", "misplaced-graph"],
    ["under input", "generate", { input: { workflow: rawGraph } }, "input.workflow", "misplaced-graph"],
    ["without its type", "generate", { workflow: rawGraph }, "workflow", "misplaced-graph"],
    [
      "a level too deep",
      "generate",
      { type: "workflow", workflow: { prompt: rawGraph } },
      "workflow.prompt",
      "misplaced-graph",
    ],
    ["as graph", "generate", { type: "workflow", graph: rawGraph }, "graph", "misplaced-graph"],
    [
      "as a text",
      "generate",
      { type: "workflow", workflow: JSON.stringify(rawGraph) },
      "workflow",
      "misplaced-graph",
    ],
    [
      "as a text in workflow_json",
      "generate",
      { workflow_json: JSON.stringify({ prompt: rawGraph }) },
      "workflow_json.prompt",
      "misplaced-graph",
    ],
    ["for an image", "generate/image", { prompt: rawGraph }, "prompt", "misplaced-graph"],
    ["as the body of a batch", "batches", rawGraph, "", "misplaced-graph"],
    ["in a batch", "batches", { jobs: [{ prompt: rawGraph }] }, "jobs.0.prompt", "misplaced-graph"],
    ["in a batch, bare", "batches", { jobs: [rawGraph] }, "jobs.0", "misplaced-graph"],
    [
      "in the editor's format",
      "generate",
      { type: "workflow", workflow: editorGraph },
      "workflow",
      "editor-format",
    ],
    ["in the editor's format, as the body", "generate", editorGraph, "", "editor-format"],
    ["in the editor's format, in a batch", "batches", { jobs: [editorGraph] }, "jobs.0", "editor-format"],
  ])("a graph %s, with one problem that says what to send", async (_name, path, body, place, code) => {
    const document = await refused(await api.post(path, body));
    expect(document).toMatchObject({ status: 422, code });
    expect(document.problems).toMatchObject([{ path: place, code }]);
    const [problem] = document.problems!;
    if (place !== "workflow" || code !== "editor-format") expect(problem!.message).toContain(rightForm);
    if (code === "editor-format") expect(problem!.message).toContain("Workflow → Export (API)");
  });

  test("a missing input, with the node's title, what is needed and what was given", async () => {
    const workflow = {
      ...rawGraph,
      "2": { class_type: "SaveImage", inputs: { images: ["1", 5] }, _meta: { title: "Keep it" } },
    };
    const { problems } = await refused(await api.post("generate", { type: "workflow", workflow }));
    expect(problems).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          path: "workflow.2.inputs.images",
          nodeId: "2",
          nodeTitle: "Keep it",
          input: "images",
        }),
        expect.objectContaining({
          path: "workflow.2.inputs.filename_prefix",
          code: "required-input-missing",
        }),
      ]),
    );
  });

  test("a body that is not JSON", async () => {
    const body = "type=image";
    const types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];
    for (const type of types) {
      const response = await api.request("generate", {
        method: "POST",
        body,
        headers: { "content-type": type },
      });
      expect(await refused(response)).toMatchObject({ status: 415, code: "unsupported-media-type" });
    }
  });

  test("a body that is too large", async () => {
    const response = await api.post("generate", { type: "image", prompt: "x".repeat(21 * 1024 * 1024) });
    expect(await refused(response)).toMatchObject({ status: 413, code: "body-too-large" });
    await accepted(await api.post("generate", { type: "image", prompt: "still alive" }));
  });

  test("a body of more values than can be read while others wait", async () => {
    const items = (count: number): string => `{"type":"image","prompt":[${"1,".repeat(count - 1)}1]}`;
    const response = await api.post("generate", items(500_001));
    const { status, code, detail } = await refused(response);
    expect([status, code, detail]).toEqual([413, "body-too-large", expect.stringContaining("500000")]);
    // Commas of a text are no values.
    const long = await api.post("generate", { type: "image", prompt: ',"\\'.repeat(500_001) });
    expect((await refused(long)).status).toBe(422);
  });

  test("a batch with a graph nested without end", async () => {
    const nested = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const body = `{"jobs":[{"type":"workflow","workflow":{"1":{"class_type":"X","inputs":{"a":${nested}}}}}]}`;
    const { status, problems } = await refused(await api.post("batches", body));
    expect([status, problems]).toMatchObject([422, [{ code: "nested-too-deep" }]]);
  });

  test("a graph nested without end", async () => {
    const nested = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const body = `{"type":"workflow","workflow":{"1":{"class_type":"X","inputs":{"a":${nested}}}}}`;
    const { problems } = await refused(await api.post("generate", body));
    expect(problems).toMatchObject([{ code: "nested-too-deep" }]);
    const unknown = await refused(
      await api.post("generate", `{"type":"image","prompt":"x","deep":${nested}}`),
    );
    expect(unknown.status).toBe(422);
  });

  test("a method that does not exist there, and a path that does not exist", async () => {
    const response = await api.request("generate", { method: "PUT" });
    expect(response.headers.get("allow")).toBe("POST, OPTIONS");
    expect(await refused(response)).toMatchObject({ status: 405, code: "method-not-allowed" });
    for (const path of ["nothing", "/nothing", "jobs/1/nothing"]) {
      expect(await refused(await api.request(path))).toMatchObject({ status: 404, code: "path-not-found" });
    }
    const options = await api.request("jobs", { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
  });
});

const anyJson = fc.json({ maxDepth: 4 });
const graphLike = fc.dictionary(
  fc.constantFrom("1", "2", "a", "__proto__", ""),
  fc.record(
    {
      class_type: fc.oneof(
        fc.constantFrom("EmptyImage", "SaveImage", "KSampler", "constructor"),
        fc.jsonValue(),
      ),
      inputs: fc.oneof(
        fc.dictionary(
          fc.constantFrom("images", "width", "filename_prefix", "seed", "toString"),
          fc.oneof(fc.tuple(fc.constantFrom("1", "2", "9"), fc.integer({ min: -1, max: 3 })), fc.jsonValue()),
        ),
        fc.jsonValue(),
      ),
      _meta: fc.oneof(fc.record({ title: fc.string() }), fc.jsonValue()),
    },
    { requiredKeys: [] },
  ),
);
const bodies = fc.oneof(
  anyJson,
  fc.record({ type: fc.constantFrom("image", "video", "workflow"), prompt: fc.string({ unit: "binary" }) }),
  fc.record({ type: fc.constant("workflow"), workflow: graphLike }),
  fc.record({
    type: fc.constant("image"),
    prompt: fc.jsonValue(),
    tags: fc.jsonValue(),
    seed: fc.jsonValue(),
  }),
  fc.record({ type: fc.constant("workflow"), workflow: fc.jsonValue() }),
);

/** In place of the whole numbers of a body. */
const oddNumbers = fc.constantFrom(
  ...[null, "1.0", "-0.0", "1e5", "1e-400", "1e-9999999999", "1e400", "0.99999999999999999"],
  ...["18446744073709551615", "9".repeat(300), `1.${"0".repeat(20_000)}`],
);

test("no body makes the API fail: each is accepted, or refused with a reason", async () => {
  await fc.assert(
    fc.asyncProperty(bodies, oddNumbers, async (body, number) => {
      const json = typeof body === "string" ? body : JSON.stringify(body);
      const text = number === null ? json : json.replaceAll(/(?<=[:,[])-?\d+(?=[\]},])/g, number);
      const response = await api.post("generate", text);
      if (response.status === 202) await accepted(response);
      else expect([400, 422]).toContain((await refused(response)).status);
    }),
    { numRuns: 300 },
  );
});

test("a model that was added a moment ago is found before the job is refused", async () => {
  // A process of its own, since one that has just asked the workers does not ask again for three seconds.
  const another = await api.startAnother();
  const body = { type: "image", prompt: "a cat", model: "brand-new.safetensors" };
  const url = `${another.url}/api/anime/generate`;
  await accepted(await api.post(url, { type: "image", prompt: "this process has read the definitions" }));
  const definitions = await recordedDefinitions("core", "animatediff", "video-helper-suite");
  const text = JSON.stringify(definitions).replaceAll("AOM3A1B.safetensors", "brand-new.safetensors");
  api.worker.onDefinitionsWanted = () =>
    api.worker.setDefinitions(serverId, JSON.parse(text) as typeof definitions);
  await accepted(await api.post(url, body));
});
