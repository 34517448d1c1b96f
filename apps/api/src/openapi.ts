import {
  extendZodWithOpenApi,
  OpenApiGeneratorV31,
  OpenAPIRegistry,
  type ResponseConfig,
} from "@asteasolutions/zod-to-openapi";
import { z } from "zod";
import { registerSchemas } from "./api-schemas.ts";
import { operations, type Operation } from "./operations.ts";
import { prefix } from "./paths.ts";
import { problemCodes } from "./problem-document.ts";

export type ApiDescription = ReturnType<OpenApiGeneratorV31["generateDocument"]>;

/** The OpenAPI document, made of the schemas by which requests are judged and answers are typed. */
export function describeApi(): ApiDescription {
  extendZodWithOpenApi(z);
  const registry = new OpenAPIRegistry();
  const schemas = registerSchemas(registry);
  registry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  registry.registerComponent("securitySchemes", "apiKey", {
    type: "apiKey",
    in: "header",
    name: "X-API-Key",
  });
  for (const operation of operations(schemas)) registerOperation(registry, operation, schemas.Problem);
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: "3.1.0",
    info: {
      title: "Genga",
      version: "1",
      description:
        "Anime images and videos, made by any number of ComfyUI servers. A submission is answered with 202 once its " +
        "job is safe; from then on the job answers by its id until it is removed.\n\nErrors are problem documents " +
        `(RFC 9457) with a stable \`code\`: ${problemCodes.join(", ")}.`,
    },
    security: [{ bearer: [] }, { apiKey: [] }, {}],
  });
}

function registerOperation(registry: OpenAPIRegistry, operation: Operation, problem: z.ZodType): void {
  const {
    method,
    path,
    summary,
    description,
    query,
    body,
    bodyMediaTypes,
    status,
    answer,
    mediaType,
    refusals,
  } = operation;
  const refused: Record<string, ResponseConfig> = {};
  for (const code of refusals) {
    refused[code] = {
      description: "A problem document.",
      content: { "application/problem+json": { schema: problem } },
    };
  }
  const content =
    answer === undefined && mediaType === undefined
      ? {}
      : { content: { [mediaType ?? "application/json"]: { schema: answer ?? z.string() } } };
  registry.registerPath({
    method,
    path: path.startsWith("/") ? path : `${prefix}/${path}`,
    summary,
    ...(description === undefined ? {} : { description }),
    request: {
      ...(path.includes("{id}") ? { params: z.object({ id: z.string() }) } : {}),
      ...(query === undefined ? {} : { query }),
      ...(body === undefined
        ? {}
        : {
            body: {
              required: true,
              content: Object.fromEntries(
                (bodyMediaTypes ?? ["application/json"]).map((type) => [type, { schema: body }]),
              ),
            },
          }),
    },
    responses: { [status]: { description: "As asked for.", ...content }, ...refused },
  });
}
