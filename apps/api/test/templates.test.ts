import { readFileSync } from "node:fs";
import { workflow as recordedWorkflow } from "@genga/comfyui-recordings";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import sharp from "sharp";
import pg from "pg";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const keys = { studio: "key-of-studio", rival: "key-of-rival" };
let api: ApiUnderTest;

beforeAll(async () => {
  const apiKeys = `studio:submit:${keys.studio},rival:submit:${keys.rival}`;
  api = await startApiUnderTest({
    env: { API_KEYS: apiKeys, HOST: "0.0.0.0" },
    times: { serversMaxAgeMs: 0 },
  });
});
afterAll(() => api.stop());

type Answer = Record<string, unknown> & { status?: number };
interface Asked {
  status: number;
  location: string | null;
  body: Answer;
}
type Who = keyof typeof keys;

async function ask(method: string, path: string, body?: unknown, who: Who = "studio"): Promise<Asked> {
  const response = await api.request(path, {
    method,
    headers: { "x-api-key": keys[who], ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    location: response.headers.get("location"),
    body: text === "" ? {} : (JSON.parse(text) as Answer),
  };
}
const problemsOf = ({ body }: Asked): [path: string, code: string][] =>
  ((body["problems"] ?? []) as { path: string; code: string }[]).map(({ path, code }) => [path, code]);

const graph = {
  "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
  "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
};
const at = (node: string, input: string): object[] => [{ node, input }];
const parameters = {
  width: { type: "integer", min: 16, max: 512, multipleOf: 8, default: 64, targets: at("1", "width") },
  color: { type: "integer", min: 0, max: 16_777_215, targets: at("1", "color") },
};
const colored = { workflow: graph, parameters };

const store = (name: string, more: object = colored, who: Who = "studio"): Promise<Asked> =>
  ask("POST", "templates", { name, ...more }, who);
const workflowOf = async (id: unknown): Promise<Record<string, { inputs: Record<string, unknown> }>> =>
  (await ask("GET", `jobs/${String(id)}/workflow`)).body as never;

/** As it goes to a server. */
async function storedGraph(jobId: string): Promise<string> {
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  try {
    const { rows } = await client.query<{ text: string }>(
      `SELECT coalesce(graph_text, graph::text) AS text FROM workflows JOIN job_parameters ON hash = workflow_hash
       WHERE job_id = $1`,
      [jobId],
    );
    return rows[0]?.text ?? "";
  } finally {
    await client.end();
  }
}

describe("a template", () => {
  test("is stored while no server is known, with a warning that says so", async () => {
    const { status, body, location } = await store("first", { ...colored, description: "One colour." });
    expect([status, body["version"], body["description"]]).toEqual([201, 1, "One colour."]);
    expect(location).toMatch(/\/templates\/first\/versions\/1$/);
    expect(body["warnings"]).toEqual([expect.stringContaining("No server's definitions are known")]);
    expect(await ask("GET", "templates/first")).toMatchObject({ status: 200, body: { workflow: graph } });
  });

  test("gets a version with each change; earlier ones stay, and are used when they are named", async () => {
    await store("versions");
    const wide = { ...colored, parameters: { ...parameters, width: { ...parameters.width, default: 128 } } };
    expect(await ask("PUT", "templates/versions", wide)).toMatchObject({ status: 201, body: { version: 2 } });
    // The same again adds none: a request whose answer was lost can be repeated.
    expect(await ask("PUT", "templates/versions", wide)).toMatchObject({ status: 200, body: { version: 2 } });
    const values = { color: 7 };
    const latest = await ask("POST", "generate", { template: "versions", values });
    const first = await ask("POST", "generate", { template: { name: "versions", version: 1 }, values });
    expect([latest, first].map(({ status, body }) => [status, body["template"]])).toEqual([
      [202, { name: "versions", version: 2 }],
      [202, { name: "versions", version: 1 }],
    ]);
    expect((await workflowOf(latest.body["id"]))["1"]!.inputs).toMatchObject({ width: 128, color: 7 });
    expect((await workflowOf(first.body["id"]))["1"]!.inputs).toMatchObject({ width: 64, color: 7 });
    expect(await ask("GET", "templates/versions/versions/1")).toMatchObject({
      body: { version: 1, latestVersion: 2, parameters: { width: { default: 64, isRequired: false } } },
    });
    for (const version of ["3", "0", "x", "99999999999"])
      expect(await ask("GET", `templates/versions/versions/${version}`)).toMatchObject({ status: 404 });
  });

  test("gets one version after the other when two change it at the same time", async () => {
    await store("raced");
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        ask("PUT", "templates/raced", { ...colored, description: `take ${index}` }),
      ),
    );
    const versions = answers.map(({ status, body }) => [status, body["version"]]);
    expect(versions.sort()).toEqual([2, 3, 4, 5, 6, 7].map((version) => [201, version]));
    const names = await Promise.all(
      [1, 2, 3].map((index) => store("named-once", { ...colored, description: `${index}` })),
    );
    expect(names.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
  });

  test("is archived: it takes no new jobs, and is read by the versions that jobs name", async () => {
    await store("old");
    const job = await ask("POST", "generate", { template: "old", values: { color: 1 } });
    expect((await ask("DELETE", "templates/old")).status).toBe(204);
    expect((await ask("DELETE", "templates/old")).status).toBe(204);
    const refused = await ask("POST", "generate", { template: "old", values: { color: 1 } });
    expect([refused.status, refused.body["code"]]).toEqual([422, "unknown-template"]);
    expect(await ask("GET", "templates/old")).toMatchObject({
      status: 410,
      body: { code: "template-archived" },
    });
    expect(await ask("PUT", "templates/old", colored)).toMatchObject({ status: 410 });
    expect(await ask("GET", "templates/old/versions/1")).toMatchObject({ status: 200 });
    const listed = async (query: string): Promise<string[]> =>
      ((await ask("GET", `templates${query}`)).body["templates"] as { name: string }[]).map(
        ({ name }) => name,
      );
    expect(await listed("?text=old")).not.toContain("old");
    expect(await listed("?text=old&archived=true")).toContain("old");
    expect((await ask("GET", `job/${String(job.body["id"])}`)).body["template"]).toEqual({
      name: "old",
      version: 1,
    });
    // A new template of the name goes on counting: what a job names stays unique.
    expect(await store("old")).toMatchObject({ status: 201, body: { version: 2, archivedAt: null } });
  });

  test("belongs to its tenant", async () => {
    await store("own");
    expect(await ask("GET", "templates/own", undefined, "rival")).toMatchObject({ status: 404 });
    expect(await ask("PUT", "templates/own", colored, "rival")).toMatchObject({ status: 404 });
    expect(await ask("DELETE", "templates/own", undefined, "rival")).toMatchObject({ status: 404 });
    const used = await ask("POST", "generate", { template: "own", values: { color: 1 } }, "rival");
    const nobodys = await ask("POST", "generate", { template: "xyz", values: { color: 1 } }, "rival");
    expect(used.status).toBe(422);
    expect(String(used.body["detail"]).replace("own", "xyz")).toBe(nobodys.body["detail"]);
    expect(await store("own", colored, "rival")).toMatchObject({ status: 201, body: { version: 1 } });
  });

  test("is refused where its tenant's templates are as large as they may be together", async () => {
    await store("full", colored, "rival");
    const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
    await client.connect();
    try {
      // Such texts are compressed to almost nothing.
      await client.query(
        `INSERT INTO template_versions (template_id, version, definition, created_by)
         SELECT id, 100 + number, repeat('x', 1000000), 'x' FROM templates, generate_series(1, 269) AS number
         WHERE name = 'full'`,
      );
      const changed = { ...colored, description: "Changed." };
      for (const refused of [
        await store("one-more", changed, "rival"),
        await ask("PUT", "templates/full", changed, "rival"),
      ])
        expect(refused).toMatchObject({
          status: 422,
          body: { code: "too-many-templates", detail: expect.stringContaining("256 MiB") },
        });
      // The same again adds nothing, and other tenants have room of their own.
      expect((await store("full", colored, "rival")).status).toBe(200);
      expect((await store("one-more", changed)).status).toBe(201);
    } finally {
      await client.query("DELETE FROM template_versions WHERE version > 100");
      await client.end();
    }
  });

  test("is listed by name, the built-in ones first, page by page", async () => {
    for (const name of ["page-b", "page-a", "page-c"]) await store(name);
    const first = await ask("GET", "templates?text=page-&limit=2");
    const names = ({ body }: Asked): string[] =>
      (body["templates"] as { name: string }[]).map(({ name }) => name);
    expect([names(first), first.body["nextCursor"]]).toEqual([["page-a", "page-b"], "page-b"]);
    const second = await ask("GET", "templates?text=page-&limit=2&cursor=page-b");
    expect([names(second), second.body["nextCursor"]]).toEqual([["page-c"], null]);
    expect(names(await ask("GET", "templates")).slice(0, 2)).toEqual(["image", "video"]);
  });

  test("keeps every digit of numbers, in its graph, its bounds and its values", async () => {
    const big = "18446744073709551615";
    const seeds = `{"1":{"class_type":"EmptyImage","inputs":{"width":64,"height":64,"batch_size":1,"color":0,"seed":${big}}},
      "2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x","cfg":8.0}}}`;
    const asked = `{"seed":{"type":"seed","max":${big},"targets":[{"node":"1","input":"seed"}]}}`;
    const stored = await ask(
      "POST",
      "templates",
      `{"name":"digits","workflow":${seeds},"parameters":${asked}}`,
    );
    expect(stored).toMatchObject({ status: 201, body: { parameters: { seed: { max: big } } } });
    for (const value of ["9007199254740993", `"9007199254740993"`, big]) {
      const { body } = await ask("POST", "generate", `{"template":"digits","values":{"seed":${value}}}`);
      const response = await api.request(`jobs/${String(body["id"])}/workflow`, {
        headers: { "x-api-key": keys.studio },
      });
      const digits = value.replaceAll('"', "");
      expect(await response.text()).toMatch(new RegExp(`"seed": ?"${digits}"`));
      expect((await ask("GET", `jobs/${String(body["id"])}/parameters`)).body["template"]).toMatchObject({
        values: { seed: digits },
      });
      expect(await storedGraph(String(body["id"]))).toMatch(new RegExp(`"seed": ?${digits}[,}]`));
    }
    expect(
      problemsOf(
        await ask("POST", "generate", `{"template":"digits","values":{"seed":18446744073709551616}}`),
      ),
    ).toEqual([["values.seed", "out-of-bounds"]]);
    const drawn = await Promise.all(
      [1, 2].map(async () => {
        const { body } = await ask("POST", "generate", { template: "digits" });
        const { template } = (await ask("GET", `jobs/${String(body["id"])}/parameters`)).body as {
          template: { values: { seed: number } };
        };
        return template.values.seed;
      }),
    );
    expect(drawn[0]).not.toBe(drawn[1]);
  });

  test.each([
    [
      "a target that is not there",
      { width: { type: "integer", targets: at("1", "depth") } },
      "parameters.width.targets.0",
      "unknown-target",
    ],
    [
      "a node that is not there",
      { width: { type: "integer", targets: at("9", "width") } },
      "parameters.width.targets.0",
      "unknown-target",
    ],
    [
      "a target that is a link",
      { images: { type: "string", targets: at("2", "images") } },
      "parameters.images.targets.0",
      "unknown-target",
    ],
    [
      "a target by a name of all objects",
      { a: { type: "string", targets: at("constructor", "name") } },
      "parameters.a.targets.0",
      "unknown-target",
    ],
    [
      "two parameters for one input",
      {
        a: { type: "integer", targets: at("1", "width") },
        b: { type: "integer", targets: at("1", "width") },
      },
      "parameters.b.targets.0",
      "invalid-value",
    ],
    [
      "a default out of bounds",
      { width: { ...parameters.width, default: 4 } },
      "parameters.width.default",
      "out-of-bounds",
    ],
    [
      "a default of another type",
      { width: { ...parameters.width, default: true } },
      "parameters.width.default",
      "invalid-value",
    ],
    [
      "a default that is no choice",
      { c: { type: "choice", choices: ["a"], default: "b", targets: at("1", "color") } },
      "parameters.c.default",
      "unknown-value",
    ],
    [
      "bounds that exclude everything",
      { width: { ...parameters.width, min: 900 } },
      "parameters.width",
      "out-of-bounds",
    ],
    [
      "an image that was not sent",
      {
        i: {
          type: "image",
          default: "0190b8a0-0000-7000-8000-00000000dead",
          targets: at("2", "filename_prefix"),
        },
      },
      "parameters.i.default",
      "unknown-upload",
    ],
    [
      "an unknown type",
      { width: { type: "float", targets: at("1", "width") } },
      "parameters.width.type",
      "invalid-value",
    ],
    [
      "a name with a point",
      { "a.b": { type: "integer", targets: at("1", "width") } },
      "parameters.a.b",
      "invalid-value",
    ],
    [
      "a name that is none",
      { __proto__x: { type: "integer", targets: at("1", "width") } },
      "parameters.__proto__x",
      "invalid-value",
    ],
  ])("is refused for %s", async (_what, asked, path, code) => {
    const refused = await store("refused", { workflow: graph, parameters: asked });
    expect([refused.status, problemsOf(refused)]).toEqual([422, [[path, code]]]);
  });

  test("is refused where its graph is none, or names what no graph may name", async () => {
    const none = await store("refused", { workflow: { "1": { class_type: "X" } }, parameters: {} });
    expect([none.status, none.body["code"]]).toEqual([422, "invalid-graph"]);
    const editor = await store("refused", {
      workflow: { nodes: [], links: [], version: 0.4 },
      parameters: {},
    });
    expect([editor.status, editor.body["code"]]).toEqual([422, "editor-format"]);
    const outside = structuredClone(graph);
    outside["1"] = { class_type: "LoadImage", inputs: { image: "../secret.png" } } as never;
    expect((await store("refused", { workflow: outside, parameters: {} })).body["code"]).toBe(
      "forbidden-file",
    );
    for (const name of ["image", "suggest", "Upper", "a/b", ""])
      expect(problemsOf(await store(name))[0]?.[0]).toBe("name");
  });

  test("cannot be used to reach the prototype of anything", async () => {
    const bodies = [
      `{"name":"bad","workflow":{"__proto__":{"class_type":"X","inputs":{}}},"parameters":{}}`,
      `{"name":"bad","workflow":${JSON.stringify(graph)},"parameters":{"__proto__":{"type":"integer","targets":[]}}}`,
    ];
    for (const body of bodies) expect((await ask("POST", "templates", body)).status).toBe(422);
    await store("plain");
    for (const name of ["__proto__", "constructor", "toString"]) {
      const refused = await ask(
        "POST",
        "generate",
        `{"template":"plain","values":{"color":1,"${name}":{"polluted":1}}}`,
      );
      expect([refused.status, problemsOf(refused)]).toEqual([422, [[`values.${name}`, "unknown-field"]]]);
      const swept = await ask(
        "POST",
        "batches",
        `{"sweep":{"base":{"template":"plain"},"values":{"${name}":[1]}}}`,
      );
      expect([name, swept.status]).toEqual([name, 422]);
      expect((await ask("POST", "generate", `{"template":"${name}"}`)).status).toBe(422);
    }
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("values", () => {
  const all = {
    workflow: {
      ...graph,
      "3": { class_type: "LoadImage", inputs: { image: "example.png" } },
      "4": {
        class_type: "Anything",
        inputs: {
          text: "a",
          cfg: 7.5,
          on: true,
          sampler: "euler",
          seed: 1,
          model: "a.ckpt",
          image: ["3", 0],
        },
      },
    },
    parameters: {
      color: parameters.color,
      text: { type: "string", default: "a", lengthMax: 5, targets: at("4", "text") },
      cfg: { type: "number", min: 1, max: 20, optional: true, targets: at("4", "cfg") },
      on: { type: "boolean", default: false, targets: at("4", "on") },
      sampler: { type: "choice", choices: ["euler", "heun"], default: "euler", targets: at("4", "sampler") },
      seed: { type: "seed", targets: at("4", "seed") },
      model: { type: "model", default: "a.ckpt", targets: at("4", "model") },
      image: { type: "image", optional: true, targets: at("3", "image") },
    },
  };
  beforeAll(async () => {
    expect((await store("all", all)).status).toBe(201);
  });

  test.each([
    [{}, [["values.color", "missing-field"]]],
    [{ color: 1, nothing: 1 }, [["values.nothing", "unknown-field"]]],
    [{ color: "red" }, [["values.color", "wrong-type"]]],
    [{ color: 1.5 }, [["values.color", "wrong-type"]]],
    [{ color: -1 }, [["values.color", "out-of-bounds"]]],
    [{ color: 1, text: "abcdef" }, [["values.text", "out-of-bounds"]]],
    [
      { color: 1, cfg: 0, on: 1 },
      [
        ["values.cfg", "out-of-bounds"],
        ["values.on", "wrong-type"],
      ],
    ],
    [{ color: 1, sampler: "ddim" }, [["values.sampler", "unknown-value"]]],
    [{ color: 1, image: "0190b8a0-0000-7000-8000-00000000dead" }, [["values.image", "unknown-upload"]]],
    [
      { color: 1, text: null, model: { a: 1 } },
      [
        ["values.text", "wrong-type"],
        ["values.model", "wrong-type"],
      ],
    ],
    [[], [["values", "wrong-type"]]],
  ])("%j are refused by their paths", async (values, problems) => {
    const refused = await ask("POST", "generate", { template: "all", values });
    expect([refused.status, problemsOf(refused)]).toEqual([422, problems]);
    const batch = await ask("POST", "batches", { jobs: [{ template: "all", values }] });
    expect(problemsOf(batch)).toEqual(problems.map(([path, code]) => [`jobs.0.${path}`, code]));
  });

  test.each([
    [{ template: 7 }, "template", "invalid-value"],
    [{ template: "nobody" }, "template", "unknown-template"],
    [{ template: { name: "all", version: 9 } }, "template", "unknown-template"],
    [{ template: { name: "image", version: 2 } }, "template", "unknown-template"],
    [{ template: "all", type: "workflow", values: { color: 1 } }, "type", "invalid-value"],
    [{ template: "all", workflow: graph, values: { color: 1 } }, "workflow", "unknown-field"],
    [{ template: "image", values: { prompt: "x" }, extraData: {} }, "extraData", "unknown-field"],
  ])("%j is refused", async (body, path, code) => {
    const refused = await ask("POST", "generate", body);
    expect([refused.status, problemsOf(refused)]).toEqual([422, [[path, code]]]);
  });

  test("go where the template says, and are kept with the job; the rest stays", async () => {
    const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    const sent = await api.request("uploads", {
      method: "POST",
      headers: { "x-api-key": keys.studio, "content-type": "image/png" },
      body: new Uint8Array(png),
    });
    const upload = (await sent.json()) as { id: string; name: string };
    const values = { color: 5, text: "b", on: true, sampler: "heun", seed: 9, image: upload.id };
    const job = await ask("POST", "generate", {
      template: "all",
      values,
      project: "film",
      keepPreviews: true,
    });
    expect(job.status).toBe(202);
    const made = await workflowOf(job.body["id"]);
    expect(made["1"]!.inputs).toMatchObject({ color: 5, width: 64 });
    expect(made["4"]!.inputs).toEqual({
      ...{ text: "b", cfg: 7.5, on: true, sampler: "heun", seed: 9, model: "a.ckpt", image: ["3", 0] },
    });
    expect(made["3"]!.inputs).toEqual({ image: upload.name });
    const { body } = await ask("GET", `jobs/${String(job.body["id"])}/parameters`);
    expect(body).toMatchObject({
      type: "workflow",
      parameters: { keepPreviews: true },
      template: { name: "all", version: 1, values: { ...values, model: "a.ckpt" } },
    });
    const { jobs } = (await ask("GET", "jobs?template=all&templateVersion=1&project=film")).body as {
      jobs: { id: string; template: unknown }[];
    };
    expect(jobs).toMatchObject([{ id: job.body["id"], template: { name: "all", version: 1 } }]);
    expect((await ask("GET", "jobs?template=all&templateVersion=2")).body["jobs"]).toEqual([]);
    expect((await ask("GET", "jobs?template=all", undefined, "rival")).body["jobs"]).toEqual([]);
  });

  test("may be outputs of other jobs", async () => {
    const batch = await ask("POST", "batches", {
      jobs: [
        { key: "frame", type: "workflow", workflow: graph },
        { template: "all", values: { color: 1, image: { from: "frame", output: 0 } } },
      ],
    });
    expect(batch.status).toBe(202);
    const [frame, clip] = batch.body["jobs"] as { id: string }[];
    expect((await workflowOf(clip!.id))["3"]!.inputs).toEqual({
      image: { $output: { from: frame!.id, output: 0 } },
    });
  });

  test("of a sweep: lists, seeds, and the template's own fields beside others, tried before they are stored", async () => {
    const sweep = {
      base: { template: "all", values: { color: 1 } },
      values: { sampler: ["euler", "heun"], cfg: [5, 6] },
      vary: { shot: ["a"] },
      seeds: { count: 2, from: 40 },
    };
    const tried = await ask("POST", "batches", { dryRun: true, sweep });
    expect(tried).toMatchObject({ status: 200, body: { total: 8 } });
    expect((tried.body["jobs"] as { values: unknown }[])[1]!.values).toEqual({
      ...{ sampler: "euler", cfg: 5, shot: "a", seed: 41 },
    });
    const batch = await ask("POST", "batches", { name: "looks", sweep });
    expect(batch).toMatchObject({ status: 202, body: { total: 8 } });
    const ids = (batch.body["jobs"] as { id: string }[]).map(({ id }) => id);
    const inputs = await Promise.all(ids.map(async (id) => (await workflowOf(id))["4"]!.inputs));
    expect(inputs.map(({ sampler, cfg, seed }) => [sampler, cfg, seed])).toEqual(
      ["euler", "heun"].flatMap((sampler) =>
        [5, 6].flatMap((cfg) => [40, 41].map((seed) => [sampler, cfg, seed])),
      ),
    );
    const zipped = await ask("POST", "batches", {
      dryRun: true,
      sweep: { ...sweep, combine: "zip", vary: {}, seeds: undefined },
    });
    expect(zipped).toMatchObject({ status: 200, body: { total: 2 } });
    const wrong = await ask("POST", "batches", { sweep: { ...sweep, values: { cfg: [5, 50] }, vary: {} } });
    expect(problemsOf(wrong).map(([path]) => path)).toEqual(["jobs.2.values.cfg", "jobs.3.values.cfg"]);
    expect(String(wrong.body["detail"])).toContain("cfg = 50");
  });

  test.each([
    [{ base: { template: "nobody" }, seeds: [1] }, "sweep.base.template"],
    [{ base: { template: "versions", values: { color: 1 } }, seeds: [1] }, "sweep.seeds"],
    [{ base: { template: "all" }, values: { nothing: [1] } }, "sweep.values.nothing"],
    [{ base: { template: "all" }, vary: { values: [{}] } }, "sweep.vary.values"],
    [{ base: { template: "all" }, vary: { template: ["a"] } }, "sweep.vary.template"],
    [{ base: { type: "workflow", workflow: graph }, values: { color: [1] } }, "sweep.values"],
    [{ base: { template: "all" }, values: { seed: [1] }, seeds: [2] }, "sweep"],
  ])("of the sweep %j are refused", async (sweep, path) => {
    expect(problemsOf(await ask("POST", "batches", { sweep })).map(([place]) => place)).toEqual([path]);
  });

  test("cannot make more of a few words than a batch may have", async () => {
    const nodes = Array.from({ length: 900 }, (_, index) => [
      String(index + 10),
      { class_type: "X", inputs: { a: 1, b: 2, c: 3, d: 4 } },
    ]);
    const workflow = { ...graph, ...(Object.fromEntries(nodes) as object) };
    expect((await store("large", { workflow, parameters })).status).toBe(201);
    const values = { color: [...Array(1_000).keys()] };
    const refused = await ask("POST", "batches", { sweep: { base: { template: "large" }, values } });
    expect(problemsOf(refused)).toEqual([["sweep", "out-of-bounds"]]);
    const few = await ask("POST", "batches", {
      dryRun: true,
      sweep: { base: { template: "large" }, values: { color: [1, 2] } },
    });
    expect(few.status).toBe(200);
  });

  test("count as often as they go into a graph", async () => {
    const named = (name: string): object[] => at("3", name);
    const names = Array.from({ length: 100 }, (_, index) => `text${index}`);
    const inputs = Object.fromEntries(names.map((name) => [name, ""]));
    const workflow = { ...graph, "3": { class_type: "Texts", inputs } };
    const text = { type: "string", default: "", targets: names.flatMap(named) };
    const color = { type: "integer", default: 0, targets: at("1", "color") };
    const noise = { type: "seed", optional: true, targets: at("1", "batch_size") };
    const wide = { workflow, parameters: { text, color, noise } };
    expect((await store("wide", wide)).status).toBe(201);
    const base = { template: "wide", values: { text: "x".repeat(10_000) } };
    const ways = [
      { sweep: { base, seeds: { count: 10_000 } } },
      {
        sweep: { base: { template: "wide" }, values: { text: [base.values.text] }, seeds: { count: 10_000 } },
      },
      { jobs: Array.from({ length: 1_000 }, () => base) },
    ];
    for (const [index, body] of ways.entries()) {
      const refused = await ask("POST", "batches", { ...body, dryRun: true });
      expect(problemsOf(refused)).toEqual([[index === 2 ? "jobs" : "sweep", "out-of-bounds"]]);
    }
    const few = await ask("POST", "batches", { dryRun: true, sweep: { base, seeds: { count: 2 } } });
    expect(few.status).toBe(200);
    const usual = {
      ...wide,
      parameters: { ...wide.parameters, text: { ...text, default: base.values.text } },
    };
    expect((await store("wide-by-default", usual)).status).toBe(201);
    const byDefault = { sweep: { base: { template: "wide-by-default" }, seeds: { count: 10_000 } } };
    expect(problemsOf(await ask("POST", "batches", byDefault))).toEqual([["sweep", "out-of-bounds"]]);
  });

  test("are repeated with their Idempotency-Key as the first time, whatever became of the template", async () => {
    await store("again");
    const send = (): Promise<Response> =>
      api.post(
        "generate",
        { template: "again", values: { color: 3 } },
        {
          "x-api-key": keys.studio,
          "idempotency-key": "take-1",
        },
      );
    const first = await send();
    await ask("PUT", "templates/again", { ...colored, description: "later" });
    const again = await send();
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(await again.json()).toEqual(await first.json());
  });
});

/** A graph that ran on a real server: text to image on a checkpoint. */
const recorded = JSON.parse(recordedWorkflow("0.3.64", "sd15-image")) as Record<
  string,
  { class_type: string; inputs: Record<string, unknown> }
>;
const ofClass = (classType: string): string =>
  Object.entries(recorded).find(([, node]) => node.class_type === classType)![0];

describe("parameters are suggested for a graph", () => {
  interface Suggested {
    parameters: Record<string, Record<string, unknown>>;
    basis: string;
    unknownClasses: string[];
    warnings: string[];
  }
  const suggest = async (workflow: object): Promise<Suggested> => {
    const { status, body } = await ask("POST", "templates/suggest", { workflow });
    expect(status).toBe(200);
    return body as unknown as Suggested;
  };

  test("by the usual names of inputs while no server is known, and the answer says so", async () => {
    const { parameters: found, basis, warnings, unknownClasses } = await suggest(recorded);
    expect(basis).toBe("usual-names");
    expect([warnings.length, unknownClasses]).toEqual([1, expect.arrayContaining(["KSampler"])]);
    expect(Object.keys(found)).toEqual(
      expect.arrayContaining([
        "prompt",
        "negativePrompt",
        "seed",
        "steps",
        "cfg",
        "width",
        "height",
        "model",
        "sampler",
      ]),
    );
    expect(found["steps"]).not.toHaveProperty("max");
  });

  test("by the servers' definitions: with bounds, and with what their lists have", async () => {
    await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
    const { parameters: found, basis, warnings, unknownClasses } = await suggest(recorded);
    expect([basis, warnings, unknownClasses]).toEqual(["definitions", [], []]);
    const sampler = ofClass("KSampler");
    expect(found["steps"]).toMatchObject({
      type: "integer",
      min: 1,
      max: 10_000,
      targets: [{ node: sampler, input: "steps" }],
    });
    expect(found["cfg"]).toMatchObject({ type: "number", min: 0, max: 100 });
    expect(found["seed"]).toMatchObject({ type: "seed", targets: [{ node: sampler, input: "seed" }] });
    expect(found["model"]).toMatchObject({ type: "model", kind: "checkpoints" });
    expect(found["sampler"]).toMatchObject({ type: "choice" });
    const positive = (recorded[sampler]!.inputs["positive"] as [string])[0];
    expect(found["prompt"]).toMatchObject({ type: "string", targets: [{ node: positive, input: "text" }] });
    // What is suggested can be stored as it is.
    const stored = await store("suggested", { workflow: recorded, parameters: found });
    expect([stored.status, stored.body["warnings"]]).toEqual([201, []]);
    expect(stored.body["parameters"]).toMatchObject({
      sampler: { choicesFrom: "servers", choices: expect.arrayContaining(["euler", "dpmpp_2m"]) },
      model: { choicesFrom: "servers", choices: expect.arrayContaining(["counterfeit_v3.safetensors"]) },
    });
  });

  test("one for a value that several inputs share, and one for an image", async () => {
    const { parameters: found } = await suggest({
      "1": { class_type: "EmptyImage", inputs: { width: 64, height: 32, batch_size: 1, color: 0 } },
      "2": { class_type: "EmptyImage", inputs: { width: 64, height: 48, batch_size: 1, color: 0 } },
      "3": { class_type: "LoadImage", inputs: { image: "example.png" } },
    });
    expect(found["width"]!["targets"]).toHaveLength(2);
    expect([found["height"]!["default"], found["height2"]!["default"]]).toEqual([32, 48]);
    expect(found["image"]).toEqual({ type: "image", optional: true, targets: at("3", "image") });
  });

  test("and nothing that is no graph gets any", async () => {
    expect(problemsOf(await ask("POST", "templates/suggest", {}))).toEqual([["workflow", "missing-field"]]);
    expect((await ask("POST", "templates/suggest", { workflow: { a: 1 } })).body["code"]).toBe(
      "invalid-graph",
    );
    expect((await ask("POST", "templates/suggest", { workflow: graph, x: 1 })).body["code"]).toBe(
      "unknown-field",
    );
  });
});

describe("where a server is known", () => {
  test("problems of the graph are told as problems of the values that caused them, and others as the template's", async () => {
    const values = { model: "nobody-has-it.safetensors", steps: 20_000 };
    const refused = await ask("POST", "generate", { template: "suggested", values });
    expect([refused.status, problemsOf(refused).sort()]).toEqual([422, [["values.steps", "out-of-bounds"]]]);
    const unknown = await ask("POST", "generate", { template: "suggested", values: { model: values.model } });
    expect(problemsOf(unknown)).toEqual([["values.model", "unknown-model"]]);
    expect(String(unknown.body["detail"])).toContain("counterfeit_v3.safetensors");
    const job = await ask("POST", "generate", { template: "suggested", values: { prompt: "a lighthouse" } });
    expect([job.status, job.body["prompt"]]).toEqual([202, expect.stringContaining("a lighthouse")]);
  });

  test("a template that no server can run is stored, and its jobs are refused", async () => {
    const workflow = { ...graph, "9": { class_type: "NobodyHasThisNode", inputs: {} } };
    const saving = {
      ...workflow,
      "2": { ...graph["2"], inputs: { ...graph["2"].inputs, images: ["9", 0] } },
    };
    const stored = await store("later", { workflow: saving, parameters: {} });
    expect(stored.status).toBe(201);
    expect((stored.body["warnings"] as string[])[0]).toBe(
      "No known server can run it with its defaults now.",
    );
    expect(JSON.stringify(stored.body["warnings"])).toContain("NobodyHasThisNode");
    const refused = await ask("POST", "generate", { template: "later" });
    expect([refused.status, refused.body["code"], problemsOf(refused)[0]?.[0]]).toEqual([
      422,
      "unknown-node-class",
      expect.stringMatching(/^template\.workflow/),
    ]);
  });

  test("the built-in templates are what jobs of their types are", async () => {
    const values = { prompt: "a lighthouse", seed: 7, steps: 12, loras: [] };
    const [typed, made] = await Promise.all([
      ask("POST", "generate", { type: "image", ...values, shot: "a" }),
      ask("POST", "generate", { template: "image", values, shot: "a" }),
    ]);
    expect([typed.status, made.status]).toEqual([202, 202]);
    expect(await workflowOf(made.body["id"])).toEqual(await workflowOf(typed.body["id"]));
    const [one, other] = await Promise.all(
      [typed, made].map(async ({ body }) => (await ask("GET", `jobs/${String(body["id"])}/parameters`)).body),
    );
    expect(other!["parameters"]).toEqual(one!["parameters"]);
    expect([one!["template"], other!["template"]]).toEqual([
      null,
      { name: "image", version: 1, values: one!["parameters"] },
    ]);
    expect(await ask("GET", `job/${String(made.body["id"])}`)).toMatchObject({
      body: { type: "image", shot: "a", template: { name: "image", version: 1 } },
    });
    const wrong = { steps: 0, nothing: 1 };
    const [typedly, asTemplate] = [
      await ask("POST", "generate", { type: "image", ...wrong }),
      await ask("POST", "generate", { template: { name: "image", version: 1 }, values: wrong }),
    ];
    expect(problemsOf(asTemplate)).toEqual(
      problemsOf(typedly).map(([path, code]) => [`values.${path}`, code]),
    );
    const depends = { dependsOn: ["nobody"] };
    expect(problemsOf(await ask("POST", "generate", { template: "image", values, ...depends }))).toEqual(
      problemsOf(await ask("POST", "generate", { type: "image", ...values, ...depends })),
    );
    const swept = await ask("POST", "batches", {
      dryRun: true,
      sweep: { base: { template: "image", values }, values: { steps: [10, 20] }, seeds: { count: 2 } },
    });
    expect(swept).toMatchObject({ status: 200, body: { total: 4 } });
  });

  test("the built-in templates show their parameters, and nobody changes them", async () => {
    const { body } = await ask("GET", "templates/image");
    expect(body).toMatchObject({ isBuiltIn: true, workflow: null });
    expect(body["parameters"]).toMatchObject({
      prompt: { type: "string", isRequired: true },
      steps: { type: "integer", min: 1, max: 100, default: 20, isRequired: false },
      width: { type: "integer", min: 256, max: 2048, multipleOf: 8 },
      seed: { type: "seed" },
      initImage: { type: "image" },
      sampler: { type: "choice", choicesFrom: "servers", choices: expect.arrayContaining(["dpmpp_2m"]) },
      model: {
        type: "model",
        kind: "checkpoints",
        choices: expect.arrayContaining(["counterfeit_v3.safetensors"]),
      },
      hiresFix: { type: "object", schema: expect.anything() },
    });
    expect((await ask("GET", "templates/video/versions/1")).status).toBe(200);
    expect((await ask("GET", "templates/video/versions/2")).status).toBe(404);
    expect((await ask("PUT", "templates/image", colored)).body["code"]).toBe("template-built-in");
    expect((await ask("DELETE", "templates/image")).body["code"]).toBe("template-built-in");
  });
});

describe("docs/templates.md", () => {
  const page = readFileSync(new URL("../../../docs/templates.md", import.meta.url), "utf8");
  const examples = [...page.matchAll(/```http\n(\w+) \/api\/anime\/(\S+)\n([^]*?)\n→ (\d+) ?(.*)\n```/g)];

  test("has examples, and each request of the page is one of them", () => {
    expect(examples.length).toBe(page.match(/```http/g)?.length);
    expect(examples.length).toBeGreaterThan(6);
  });

  test("is right about the answers to all of its requests, in their order", async () => {
    for (const [, method = "", path = "", body = "", status, paths = ""] of examples) {
      const answer = await ask(method, path, body);
      const named = paths === "" ? [] : paths.split(", ");
      expect([body, answer.status, problemsOf(answer).map(([place]) => place)]).toEqual([
        body,
        Number(status),
        named,
      ]);
    }
  });
});
