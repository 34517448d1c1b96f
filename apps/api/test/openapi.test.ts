import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, test } from "@jest/globals";
import { describeApi, type ApiDescription } from "../src/documentation/openapi.ts";
import { linesMax } from "../src/accepting/job-lines.ts";
import { fullPath } from "../src/http/paths.ts";
import { comfyProblemCodes, problemCodes } from "../src/http/problem-document.ts";
import { routes } from "../src/routes/table.ts";
import { answerExamples, bodyExamples, problemExample } from "../src/schemas/examples.ts";
import { batchJobsMax } from "../src/submissions/submission-body.ts";
import { answerSchemas, bodySchemas, type AnswerName, type BodyName } from "../src/schemas/named-schemas.ts";

const withKeys = describeApi(routes, { needsKey: true });
const keyless = describeApi(routes, { needsKey: false });

interface Described {
  operationId: string;
  tags: string[];
  summary: string;
  security: Record<string, unknown>[];
  "x-role": string;
  description?: string;
  parameters?: {
    name: string;
    in: string;
    description?: string;
    schema?: { pattern?: string; minLength?: number };
  }[];
  requestBody?: { content: Record<string, { example?: unknown }> };
  responses: Record<
    string,
    { description: string; content?: Record<string, unknown>; headers?: Record<string, unknown> }
  >;
}

function operationsOf(description: ApiDescription): [name: string, operation: Described][] {
  return Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Described] => [
      `${method.toUpperCase()} ${path}`,
      operation as unknown as Described,
    ]),
  );
}
const operations = new Map(operationsOf(withKeys));
const operation = (name: string): Described => operations.get(name)!;

describe("the OpenAPI document", () => {
  test.each([
    ["with keys", withKeys],
    ["without keys", keyless],
  ])("is valid %s", async (_name, description) => {
    const { valid, errors } = await new Validator().validate(structuredClone(description));
    expect([valid, errors]).toEqual([true, undefined]);
  });

  test("describes exactly the routes that exist", () => {
    const listed = routes.map(
      ({ method, path }) => `${method} ${fullPath(path).replaceAll(/:(\w+)/g, "{$1}")}`,
    );
    expect([...operations.keys()].sort()).toEqual(listed.sort());
  });

  test("gives each operation a name of its own, a tag, a summary and an answer", () => {
    const ids = [...operations.values()].map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = (withKeys["tags"] as { name: string }[]).map(({ name }) => name);
    for (const [name, { operationId, tags: own, summary, responses }] of operations) {
      expect([name, operationId]).toEqual([name, expect.stringMatching(/^[a-z][A-Za-z]+$/)]);
      expect([name, own.length, tags.includes(own[0]!), summary.length > 5]).toEqual([name, 1, true, true]);
      expect([name, Object.keys(responses).filter((status) => status < "300").length > 0]).toEqual([
        name,
        true,
      ]);
    }
  });

  test("requires keys where the table does, and names the role", () => {
    for (const { method, path, access, isPage } of routes) {
      const name = `${method} ${fullPath(path).replaceAll(/:(\w+)/g, "{$1}")}`;
      const { security, responses, "x-role": role } = operation(name);
      const schemes = security.flatMap((scheme) => Object.keys(scheme));
      const expected =
        access === "open" ? [] : ["bearer", "apiKey", "session", ...(isPage === true ? ["basic"] : [])];
      expect([name, role, schemes]).toEqual([name, access, expected]);
      const statuses = Object.keys(responses);
      const isLink = path.endsWith("/shared");
      // They are open, and about keys.
      if (path === "session") continue;
      for (const status of ["401", "403", "429"]) {
        const isExpected = access !== "open" || (isLink && status !== "401");
        expect([name, status, statuses.includes(status)]).toEqual([name, status, isExpected]);
      }
    }
    for (const [name, { security, responses }] of operationsOf(keyless)) {
      expect([name, security, Object.keys(responses).includes("401")]).toEqual([name, [], false]);
    }
  });

  test("names what HTTP can do with outputs, streams and uploads", () => {
    const output = operation("GET /api/anime/outputs/{id}");
    expect(output.parameters!.map(({ name }) => name)).toEqual(["id", "Range", "If-Range", "If-None-Match"]);
    expect(Object.keys(output.responses)).toEqual(
      expect.arrayContaining(["200", "206", "304", "404", "416"]),
    );
    expect(Object.keys(output.responses["206"]!.content!)).toEqual(
      expect.arrayContaining(["image/png", "video/mp4", "audio/flac", "text/plain"]),
    );
    expect(Object.keys(output.responses["206"]!.headers!)).toContain("Content-Range");
    const events = operation("GET /api/anime/jobs/{id}/events");
    expect(events.parameters!.map(({ name }) => name)).toContain("Last-Event-ID");
    expect(Object.keys(events.responses)).toEqual(
      expect.arrayContaining(["200", "204", "404", "410", "503"]),
    );
    const upload = operation("POST /api/anime/uploads");
    expect(Object.keys(upload.requestBody!.content)).toEqual(
      expect.arrayContaining(["image/png", "image/jpeg", "image/webp", "multipart/form-data"]),
    );
    expect(Object.keys(upload.responses["201"]!.headers!)).toContain("Location");
  });

  test("has the bounds by which requests are validated", () => {
    const { schemas } = withKeys.components;
    expect(schemas["ImageJob"]).toMatchObject({
      additionalProperties: false,
      required: ["prompt"],
      properties: {
        width: { minimum: 256, maximum: 2048, multipleOf: 8 },
        steps: { minimum: 1, maximum: 100 },
        prompt: { minLength: 1, maxLength: 10_000 },
        priority: { enum: ["urgent", "high", "normal", "low"] },
      },
    });
    const { name, tenant } = schemas["NewKey"]!["properties"] as Record<string, { pattern: string }>;
    for (const [{ pattern }, right, wrong] of [
      [name!, ["a", "render farm.1_x-y"], ["", " a", "a:b", "a".repeat(65)]],
      [tenant!, ["a", "studio-1", "reader"], ["", "A", "-a", "read", "submit", "operate", "a".repeat(64)]],
    ] as const) {
      expect(right.filter((text) => !new RegExp(pattern, "u").test(text))).toEqual([]);
      expect(wrong.filter((text) => new RegExp(pattern, "u").test(text))).toEqual([]);
    }
    const { parameters = [] } = operation("GET /api/anime/jobs");
    for (const [name, right, wrong] of [
      ["project", ["a", "花"], ["", "a\0", "\0ab"]],
      ["tag", ["a", "花"], ["", "\0"]],
      ["text", ["abc", "花", "a 花", "a\nb", "\n"], ["", "ab", "a\0b", "\0abc", "abc\0", "花\0"]],
    ] as const) {
      const { pattern = "", minLength = 0 } = parameters.find((one) => one.name === name)?.schema ?? {};
      const fits = (text: string): boolean => text.length >= minLength && new RegExp(pattern, "u").test(text);
      expect([name, right.filter((text) => !fits(text)), wrong.filter(fits)]).toEqual([name, [], []]);
    }
    expect(schemas["VideoJob"]).toMatchObject({ properties: { fps: { minimum: 8, maximum: 30 } } });
    expect(schemas["NewBatch"]).toMatchObject({ properties: { jobs: { minItems: 1, maxItems: 10_000 } } });
  });

  test("says the bounds that a schema cannot: of moments, and of the lines of a batch", () => {
    const { description, parameters = [] } = operation("POST /api/anime/batches");
    expect(description).toContain(`at most ${batchJobsMax} jobs`);
    expect(description).toContain(`${linesMax} lines`);
    expect(description).toContain("20 MiB");
    const job = JSON.stringify(withKeys.components.schemas["NewJob"]);
    for (const name of ["runAt", "expiresAt"]) {
      const said = parameters.find((each) => each.name === name)?.description;
      expect(said).toMatch(/years 1 to 9999/);
      expect(job).toContain(said);
    }
  });

  test("names every code of a refusal, at its operations or as one of any request", () => {
    const named = [withKeys, keyless].flatMap((description) => [
      description.info.description,
      ...operationsOf(description).flatMap(([, { responses }]) =>
        Object.values(responses).map((answer) => answer.description),
      ),
    ]);
    const codes = new Set(
      named.flatMap((text) => [...text.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code)),
    );
    expect(problemCodes.filter((code) => !codes.has(code))).toEqual(comfyProblemCodes);
  });

  test("has no broken references", () => {
    const text = JSON.stringify(withKeys);
    const names = new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!));
    expect(names.size).toBeGreaterThan(15);
    for (const name of names) expect(Object.keys(withKeys.components.schemas)).toContain(name);
  });

  test("has examples that fit their schemas", () => {
    for (const [name, example] of Object.entries(bodyExamples)) {
      const { success, error } = bodySchemas[name as BodyName].safeParse(example);
      expect([name, success, error?.issues]).toEqual([name, true, undefined]);
    }
    for (const [name, example] of [...Object.entries(answerExamples), ["Problem", problemExample] as const]) {
      // A field that the schema does not know would be missing from what it reads.
      expect([name, answerSchemas[name as AnswerName].parse(example)]).toEqual([name, example]);
    }
    const submissions = [...operations].filter(([name]) => /^POST .*(generate|batches$)/.test(name));
    expect(submissions).toHaveLength(4);
    for (const [, { requestBody }] of submissions) {
      expect(requestBody!.content["application/json"]!.example).toBeDefined();
    }
  });
});
