import { describe, expect, test } from "@jest/globals";
import { parseExactJson, parseWorkflow, stringifyExactJson, type Workflow } from "@genga/comfyui";
import { InvalidJobError, type JobProblem, type JobType } from "@genga/jobs";
import { createWorkflowResolver, type KnownServer } from "@genga/workflows";
import {
  animateDiffNodes,
  coreNodes,
  everything,
  objectInfoOf,
  recordedGraph,
  serverWith,
  withList,
  without,
} from "./recorded-servers.ts";

const models = (objectInfo: typeof everything, ...names: string[]): typeof everything =>
  withList(objectInfo, "CheckpointLoaderSimple", "ckpt_name", names);

function resolverOf(...servers: KnownServer[]): ReturnType<typeof createWorkflowResolver> {
  return createWorkflowResolver({ definitions: () => Promise.resolve(servers) });
}

async function refusalOf(
  resolver: ReturnType<typeof createWorkflowResolver>,
  type: JobType,
  parameters: unknown,
): Promise<JobProblem[]> {
  const outcome = await resolver.resolve(type, parameters).catch((error: unknown) => error);
  if (outcome instanceof InvalidJobError) return outcome.problems;
  throw new Error(`nothing was refused: ${JSON.stringify(outcome)}`);
}

function classesOf(workflow: string): string[] {
  return Object.values(parseWorkflow(workflow)).map((node) => node.class_type);
}

const rawGraph = recordedGraph("sd15-image") as unknown as Workflow;

/** A copy of the recorded image graph with one node changed. */
function changed(nodeId: string, change: Record<string, unknown>): unknown {
  return { workflow: { ...rawGraph, [nodeId]: { ...rawGraph[nodeId], ...change } as Workflow[string] } };
}

test("a graph that a server takes and cannot run is accepted where it shall fail as on a server", async () => {
  const odd = recordedGraph("fails-at-run-time/core-savevideo-odd-size");
  const resolver = resolverOf(serverWith("a", everything));
  const parameters = { workflow: odd };
  const [problem] = await refusalOf(resolver, "workflow", parameters);
  expect(problem).toMatchObject({ code: "odd-frame-size" });
  const asServer = { tenantId: "tenant", operates: false, asServer: true };
  expect(await resolver.resolve("workflow", parameters, asServer)).toMatchObject({ mustFail: true });
  expect(await resolver.resolve("workflow", { workflow: rawGraph }, asServer)).not.toHaveProperty("mustFail");
  await expect(
    resolver.resolve("workflow", changed("3", { class_type: "Nothing" }), asServer),
  ).rejects.toThrow();
});

describe("parameters", () => {
  test("become a graph, with defaults and the drawn seed kept", async () => {
    const { workflow, parameters, warnings } = await resolverOf(serverWith("a", everything)).resolve(
      "image",
      {
        prompt: "a cat",
      },
    );
    expect(classesOf(workflow)).toContain("KSampler");
    expect(parameters).toMatchObject({ prompt: "a cat", width: 512, height: 768, steps: 20, count: 1 });
    const sampler = Object.values(parseWorkflow(workflow)).find((node) => node.class_type === "KSampler");
    expect(parameters).toHaveProperty("seed", sampler!.inputs["seed"]);
    expect(warnings).toEqual([]);
  });

  test("an unknown model is named, with those that all servers together have", async () => {
    const resolver = resolverOf(
      serverWith("a", models(everything, "one.safetensors")),
      serverWith("b", models(everything, "two.safetensors", "three.ckpt")),
    );
    expect(await refusalOf(resolver, "image", { prompt: "a cat", model: "none.safetensors" })).toEqual([
      {
        path: "model",
        code: "unknown-model",
        message:
          'No known server has the model "none.safetensors". Available: one.safetensors, two.safetensors, three.ckpt.',
        received: "none.safetensors",
        accepted: ["one.safetensors", "two.safetensors", "three.ckpt"],
      },
    ]);
  });

  test("one server that has the model is enough", async () => {
    const resolver = resolverOf(
      serverWith("a", models(everything, "one.safetensors")),
      serverWith("b", models(everything, "two.safetensors")),
    );
    await expect(
      resolver.resolve("image", { prompt: "a cat", model: "two.safetensors" }),
    ).resolves.toBeDefined();
  });

  test("sampler, scheduler and motion model go by the names of the parameters", async () => {
    const bad = { prompt: "a cat", sampler: "best", scheduler: "soon", motionModel: "none.ckpt" };
    const problems = await refusalOf(resolverOf(serverWith("a", everything)), "video", bad);
    expect(problems.map(({ path, code, received }) => [path, code, received]).sort()).toEqual([
      ["motionModel", "unknown-model", "none.ckpt"],
      ["sampler", "unknown-value", "best"],
      ["scheduler", "unknown-value", "soon"],
    ]);
    const [sampler] = problems.filter(({ path }) => path === "sampler");
    expect(sampler!.accepted).toContain("euler");
  });

  test("while no server is known only bounds are judged", async () => {
    const resolver = resolverOf();
    await expect(
      resolver.resolve("image", { prompt: "a cat", model: "any.safetensors" }),
    ).resolves.toBeDefined();
    await expect(resolver.resolve("video", { prompt: "a cat" })).resolves.toBeDefined();
    expect(await refusalOf(resolver, "image", { prompt: "a cat", width: 3 })).toMatchObject([
      { path: "width" },
    ]);
  });

  test.each(["image", "video"] as const)("an %s text that no database can hold is refused", async (type) => {
    const resolver = resolverOf(serverWith("a", everything));
    for (const prompt of ["a\0b", "half \ud83d a smile"]) {
      expect(await refusalOf(resolver, type, { prompt })).toMatchObject([
        { path: "prompt", code: "invalid-text" },
      ]);
    }
    await expect(resolver.resolve(type, { prompt: "a whole 😀" })).resolves.toBeDefined();
  });
});

describe("the ending of a video", () => {
  const core = objectInfoOf(coreNodes, animateDiffNodes);

  test.each([
    ["VideoHelperSuite where there is one", [everything], undefined, "VHS_VideoCombine", "mp4"],
    ["VideoHelperSuite on the other server", [core, everything], undefined, "VHS_VideoCombine", "mp4"],
    ["core nodes", [core], undefined, "SaveVideo", "mp4"],
    ["WebM where no mp4 can be written", [without(core, "CreateVideo")], undefined, "SaveWEBM", "webm"],
    [
      "animated WebP at last",
      [without(core, "CreateVideo", "SaveWEBM")],
      undefined,
      "SaveAnimatedWEBP",
      "webp",
    ],
    ["what was asked for", [everything], "webp", "SaveAnimatedWEBP", "webp"],
    ["a server that can write what was asked for", [core, everything], "gif", "VHS_VideoCombine", "gif"],
  ])("is %s", async (_name, servers, format, classType, chosen) => {
    const known = servers.map((objectInfo, index) => serverWith(String(index), objectInfo));
    const { workflow, parameters } = await resolverOf(...known).resolve("video", {
      prompt: "a cat",
      ...(format === undefined ? {} : { format }),
    });
    expect(classesOf(workflow)).toContain(classType);
    expect(parameters).toHaveProperty("format", chosen);
  });

  test("that no server has is explained, together with everything else that is wrong", async () => {
    const resolver = resolverOf(serverWith("a", core));
    const problems = await refusalOf(resolver, "video", {
      prompt: "a cat",
      format: "gif",
      model: "x.safetensors",
    });
    expect(problems).toMatchObject([
      { path: "format", code: "unknown-node-class", received: "gif", accepted: ["VHS_VideoCombine"] },
      { path: "model", code: "unknown-model" },
    ]);
  });

  test("does not matter where AnimateDiff is missing: that is said", async () => {
    const resolver = resolverOf(serverWith("a", objectInfoOf(coreNodes)));
    const problems = await refusalOf(resolver, "video", { prompt: "a cat" });
    expect(problems.map(({ code, received }) => [code, received])).toEqual(
      expect.arrayContaining([["unknown-node-class", "ADE_AnimateDiffLoaderGen1"]]),
    );
  });
});

describe("a raw graph", () => {
  const resolver = resolverOf(serverWith("a", everything));

  test("is kept as it is", async () => {
    const { workflow } = await resolver.resolve("workflow", { workflow: rawGraph });
    expect(JSON.parse(workflow)).toEqual(rawGraph);
  });

  test.each<[string, unknown, Partial<JobProblem>]>([
    ["without a workflow", {}, { path: "workflow", code: "missing-field" }],
    ["with another field", { workflow: rawGraph, steps: 3 }, { path: "steps", code: "unknown-field" }],
    ["that is null", { workflow: null }, { path: "workflow" }],
    ["that is a list", { workflow: [1] }, { path: "workflow" }],
    ["that is empty", { workflow: {} }, { path: "workflow" }],
    ["with a node that is null", { workflow: { ...rawGraph, x: null } }, { path: "workflow.x" }],
    [
      "with a node without inputs",
      { workflow: { ...rawGraph, x: { class_type: "EmptyImage" } } },
      { nodeId: "x" },
    ],
    [
      "with an unknown class",
      changed("6", { class_type: "Nope" }),
      { nodeId: "6", code: "unknown-node-class" },
    ],
    [
      "with an unknown model",
      changed("1", { inputs: { ckpt_name: "nope.safetensors" } }),
      { path: "workflow.1.inputs.ckpt_name", code: "unknown-model", nodeId: "1", input: "ckpt_name" },
    ],
    [
      "with a link to nowhere",
      changed("6", { inputs: { samples: ["99", 0], vae: ["1", 2] } }),
      { path: "workflow.6.inputs.samples", nodeId: "6", input: "samples" },
    ],
    [
      "with a cycle",
      changed("6", { inputs: { samples: ["6", 0], vae: ["1", 2] } }),
      { code: "dependency-cycle" },
    ],
    [
      "nested without end",
      changed("2", { inputs: { text: parseExactJson(`${"[".repeat(5000)}${"]".repeat(5000)}`) } }),
      { code: "nested-too-deep" },
    ],
    [
      "with more values than can be judged while others wait",
      changed("2", { inputs: { text: Array.from({ length: 50_001 }, () => 1) } }),
      { code: "too-many-values", accepted: { max: 50_000 } },
    ],
    [
      "with __proto__ as a node",
      parseExactJson('{"workflow": {"__proto__": {"class_type": "SaveImage", "inputs": {}}}}'),
      { path: "workflow.__proto__", code: "invalid-text" },
    ],
  ])("%s is refused and the place is named", async (_name, parameters, problem) => {
    expect(await refusalOf(resolver, "workflow", parameters)).toContainEqual(
      expect.objectContaining(problem),
    );
  });

  test("others get their turns while tens of thousands of names in a graph are judged", async () => {
    let turns = 0;
    let isJudged = false;
    const takeTurn = (): void => {
      turns += 1;
      if (!isJudged) setImmediate(takeTurn);
    };
    const names = Array.from({ length: 49_000 }, (_, index) => `a/b/%63/${index}.png [output]`);
    const judging = createWorkflowResolver({ definitions: () => Promise.resolve([]) }).resolve("workflow", {
      workflow: {
        "1": { class_type: "LoadImage", inputs: { image: names } },
        "2": { class_type: "SaveImage", inputs: { images: ["1", 0] } },
      },
    });
    setImmediate(takeTurn);
    await judging;
    isJudged = true;
    expect(turns).toBeGreaterThan(1);
  });

  test.each(["18446744073709551615", "6687881544318117707", '"6687881544318117707"', "0"])(
    "keeps the seed %s with all its digits, and does not warn of rounding",
    async (seed) => {
      const given = parseExactJson(
        JSON.stringify({ workflow: rawGraph })
          .replace(/"seed":\d+/, `"seed":${seed}`)
          .replace(/"cfg":\d+/, `"cfg":8.0`),
      );
      const { workflow, parameters, warnings } = await resolver.resolve("workflow", given);
      expect(workflow).toContain(`"seed":${seed},`);
      expect(workflow).toContain('"cfg":8.0,');
      expect(workflow).toBe(stringifyExactJson(parseWorkflow(workflow)));
      expect(warnings.filter((warning) => /round|2\^53|\d000\b/.test(warning))).toEqual([]);
      // Clients are shown text where a JSON number would lie.
      const digits = seed.replaceAll('"', "");
      const shown = digits === "0" ? 0 : digits;
      expect(parameters).toMatchObject({ workflow: { "5": { inputs: { seed: shown, cfg: 8 } } } });
    },
  );

  test.each(["1e400", "-1e400", "1".repeat(400)])(
    "with the number %s, which has no end, is refused",
    async (text) => {
      const given = parseExactJson(
        JSON.stringify({ workflow: rawGraph }).replace(/"seed":\d+/, `"seed":${text}`),
      );
      expect(await refusalOf(resolver, "workflow", given)).toMatchObject([
        { path: "workflow.5.inputs.seed", code: "out-of-bounds" },
      ]);
    },
  );
});

describe("before a refusal", () => {
  test("the definitions are read again, and a model added since is accepted", async () => {
    let servers = [serverWith("old", models(everything, "one.safetensors"))];
    let refreshes = 0;
    const resolver = createWorkflowResolver({
      definitions: () => Promise.resolve(servers),
      refresh: () => {
        refreshes += 1;
        servers = [serverWith("new", models(everything, "one.safetensors", "new.safetensors"))];
        return Promise.resolve();
      },
    });
    await resolver.resolve("image", { prompt: "a cat", model: "one.safetensors" });
    expect(refreshes).toBe(0);
    await resolver.resolve("image", { prompt: "a cat", model: "new.safetensors" });
    expect(refreshes).toBe(1);
  });

  test("many refusals at once share one reading, and those right after it need none", async () => {
    let refreshes = 0;
    let finish = (): void => undefined;
    const reading = new Promise<void>((resolve) => (finish = resolve));
    const resolver = createWorkflowResolver({
      definitions: () => Promise.resolve([serverWith("a", everything)]),
      refresh: () => {
        refreshes += 1;
        return reading;
      },
    });
    const parameters = { prompt: "a cat", model: "none.safetensors" };
    const refusals = Promise.all(Array.from({ length: 20 }, () => refusalOf(resolver, "image", parameters)));
    finish();
    expect(await refusals).toHaveLength(20);
    await refusalOf(resolver, "image", parameters);
    expect(refreshes).toBe(1);
  });

  test("nothing is read again for what no definition decides", async () => {
    const resolver = createWorkflowResolver({
      definitions: () => Promise.resolve([serverWith("a", everything)]),
      refresh: () => Promise.reject(new Error("was asked")),
    });
    await refusalOf(resolver, "image", { prompt: "a cat", width: 3 });
    await refusalOf(resolver, "workflow", { workflow: {} });
  });
});

test("a large batch lets others have their turn", async () => {
  const resolver = resolverOf(serverWith("a", everything));
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  for (let index = 0; index < 3_000; index += 1) await resolver.resolve("image", { prompt: `cat ${index}` });
  isDone = true;
  expect(turns).toBeGreaterThanOrEqual(2);
});
