import { type z } from "zod";
import { type Entry } from "../access/access.ts";
import { sessionCookie } from "../access/session-cookie.ts";
import { fullPath } from "../http/paths.ts";
import { statusOf, titleOf, type ProblemCode } from "../http/problem-document.ts";
import { type Answer, type Contents, type SchemaPlace } from "../routing/contents.ts";
import { isLimited } from "../routing/register-routes.ts";
import { tags, type RouteFacts } from "../routing/route.ts";
import { problemExample } from "../schemas/examples.ts";
import { describeFields, describeSchemas } from "./json-schemas.ts";

type Json = Record<string, unknown>;

/** The codes that any request may be refused with, on every route. */
const codesOfAnyRequest: readonly ProblemCode[] = [
  ...(["path-not-found", "method-not-allowed", "request-timeout", "headers-too-large"] as const),
  "internal-error",
];

/** An OpenAPI 3.1 document. */
export interface ApiDescription extends Json {
  info: { title: string; version: string; description: string; license: Json };
  paths: Record<string, Record<string, Json>>;
  components: { schemas: Record<string, Json>; securitySchemes: Json };
}

/**
 * Builds the OpenAPI document from the table of routes, in the order of the table.
 * @param needsKey whether this API needs keys; without keys it serves this machine alone
 * @param publicUrl `PUBLIC_URL`, which may have a path; where it is not set, paths are relative to the origin of the
 * request
 */
export function describeApi(
  routes: readonly RouteFacts[],
  { needsKey, publicUrl }: { needsKey: boolean; publicUrl?: string | undefined },
): ApiDescription {
  const paths: ApiDescription["paths"] = {};
  for (const route of routes) {
    const path = fullPath(route.path).replaceAll(/:(\w+)/g, "{$1}");
    const methods = (paths[path] ??= {});
    methods[route.method.toLowerCase()] = describeRoute(route, needsKey);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Genga",
      version: "1",
      license: { name: "MIT", identifier: "MIT" },
      description:
        "Anime images and videos, made by any number of ComfyUI servers. A submission is answered with 202 once its " +
        "job is safe; from then on the job answers by its id until it is removed.\n\nErrors are problem documents " +
        "(RFC 9457) with a stable `code`. Each operation lists the codes that it may give; any request may be answered " +
        `with ${codesOfAnyRequest.map((code) => `\`${code}\``).join(", ")}.\n\n` +
        "HEAD is answered wherever GET is, other methods with 405. Answers may get further fields.",
    },
    servers: [{ url: publicUrl ?? "/", description: "Here." }],
    tags: Object.entries(tags).map(([name, title]) => ({ name, "x-displayName": title })),
    paths,
    components: {
      schemas: describeSchemas(),
      securitySchemes: needsKey
        ? {
            bearer: { type: "http", scheme: "bearer" },
            apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
            session: {
              ...{ type: "apiKey", in: "cookie", name: sessionCookie },
              description:
                "Of `POST /api/anime/session`; over TLS its name may begin with `__Host-`. What changes anything also needs the `Origin` of this API and `X-Genga-Page: 1`.",
            },
            basic: { type: "http", scheme: "basic", description: "The key as password; for pages only." },
          }
        : {},
    },
  };
}

function describeRoute(route: RouteFacts, needsKey: boolean): Json {
  const { id, tag, summary, path, access, query, headers, body, answers } = route;
  const role =
    access === "open"
      ? "Open to everybody."
      : `${needsKey ? "Needs" : "Where keys are asked for, it needs"} a key with the role \`${access}\` or above.`;
  const parameters = [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      ...{ name, in: "path", required: true },
      schema: schemaOfPathParameter(name),
    })),
    ...(query === undefined ? [] : parametersOf(query, "query")),
    ...(headers === undefined ? [] : parametersOf(headers, "header")),
  ];
  const described = Object.entries(answers).map(([status, answer]) => [status, describeAnswer(answer)]);
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: [route.description, role].filter(Boolean).join("\n\n"),
    "x-role": access,
    security: needsKey ? securityOf(route) : [],
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && {
      requestBody: { required: body.isOptional !== true, content: describeContents(body.content) },
    }),
    // Where the route describes an answer for a status itself, that description replaces the one of refusals.
    responses: { ...refusalsOf(route, needsKey), ...Object.fromEntries(described) },
  };
}

function schemaOfPathParameter(name: string | undefined): Json {
  if (name === "version") return { type: "integer", minimum: 1 };
  return { type: "string", ...(name === "id" && { format: "uuid" }) };
}

function securityOf({ access, isPage }: Entry): Json[] {
  if (access === "open") return [];
  return [{ bearer: [] }, { apiKey: [] }, { session: [] }, ...(isPage === true ? [{ basic: [] }] : [])];
}

/** Lists are comma-separated (`?status=queued,processing`). */
function parametersOf(fields: z.ZodObject, place: "query" | "header"): Json[] {
  const shape: Readonly<Record<string, z.ZodType>> = fields.shape;
  const isRequired = (name: string): boolean => shape[name]?.safeParse(undefined).success === false;
  return Object.entries(describeFields(fields)).map(([name, { description, ...schema }]) => ({
    ...{ name, in: place, required: isRequired(name), schema },
    ...(description !== undefined && { description }),
    ...(schema["type"] === "array" && { style: "form", explode: false }),
  }));
}

function describeAnswer({ description, content, headers }: Answer): Json {
  return {
    description,
    ...(content !== undefined && { content: describeContents(content) }),
    ...(headers !== undefined && {
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, header]) => [
          name,
          { description: header.description, schema: schemaOf(header.schema) },
        ]),
      ),
    }),
  };
}

function describeContents(contents: Contents): Json {
  return Object.fromEntries(
    Object.entries(contents).map(([mediaType, { schema, example }]) => [
      mediaType,
      { schema: schemaOf(schema), ...(example !== undefined && { example }) },
    ]),
  );
}

function schemaOf(place: SchemaPlace): Json {
  return typeof place === "string" ? { $ref: `#/components/schemas/${place}` } : { ...place };
}

const refusalsOfBodies: readonly ProblemCode[] = [
  ...(["body-too-large", "unsupported-media-type", "too-many-bodies"] as const),
];
const refusalsOfJson: readonly ProblemCode[] = [
  ...(["malformed-json", "repeated-name", "unknown-field", "invalid-field"] as const),
];

/** The refusals of a route by status, each with its codes. */
function refusalsOf(route: RouteFacts, needsKey: boolean): Json {
  const { method, access, body, problems } = route;
  const codes: ProblemCode[] = [
    "bad-request",
    ...(needsKey ? [] : (["host-not-allowed"] as const)),
    ...(method === "GET" ? [] : (["origin-not-allowed"] as const)),
    ...(access === "open" || !needsKey
      ? []
      : (["key-missing", "key-unknown", "session-ended", "role-too-low", "too-many-wrong-keys"] as const)),
    ...(access === "open" ? [] : (["store-unavailable"] as const)),
    ...(isLimited(route) ? (["limit-reached"] as const) : []),
    ...(body === undefined ? [] : refusalsOfBodies),
    ...(body?.content["application/json"] === undefined ? [] : refusalsOfJson),
    // Without keys none is unknown.
    ...(problems ?? []).filter((code) => needsKey || statusOf(code) !== 401),
  ];
  const byStatus = new Map<number, Set<ProblemCode>>();
  for (const code of codes) {
    const status = statusOf(code);
    byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code));
  }
  return Object.fromEntries(
    [...byStatus].map(([status, ofStatus]) => [status, describeRefusal(status, [...ofStatus])]),
  );
}

function describeRefusal(status: number, codes: readonly ProblemCode[]): Json {
  const mayWait = status === 429 || status === 503;
  return {
    description: codes.map((code) => `\`${code}\`: ${titleOf(code)}.`).join("\n\n"),
    content: {
      "application/problem+json": {
        schema: { $ref: "#/components/schemas/Problem" },
        ...(status === problemExample.status && { example: problemExample }),
      },
    },
    ...(mayWait && {
      headers: {
        "Retry-After": { description: "Seconds to wait.", schema: { type: "integer", minimum: 0 } },
      },
    }),
  };
}
