import { z } from "zod";
import { answerSchemas, bodySchemas } from "../schemas/named-schemas.ts";

type Schemas = Record<string, Record<string, unknown>>;

/** All named schemas as JSON Schema 2020-12, the dialect of OpenAPI 3.1. They refer to each other by name. */
export function describeSchemas(): Schemas {
  return { ...schemasOf(bodySchemas, "input"), ...schemasOf(answerSchemas, "output") };
}

/**
 * @param io `input`: fields with a default may be absent, and unknown fields are refused; `output`: such fields are
 * always there
 */
function schemasOf(schemas: Readonly<Record<string, z.ZodType>>, io: "input" | "output"): Schemas {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const described = z.toJSONSchema(registry, {
    io,
    uri: (id) => `#/components/schemas/${id}`,
    override: ({ jsonSchema }) => {
      tidy(jsonSchema, io);
    },
  }) as { schemas: Schemas };
  for (const schema of Object.values(described.schemas)) {
    delete schema["$schema"];
    delete schema["$id"];
  }
  return described.schemas;
}

/** The schema of each query parameter or header, by its name. */
export function describeFields(fields: z.ZodObject): Schemas {
  const described = z.toJSONSchema(fields, {
    io: "input",
    override: ({ jsonSchema }) => {
      tidy(jsonSchema, "input");
    },
  }) as { properties?: Schemas };
  return described.properties ?? {};
}

type JsonSchema = Parameters<
  NonNullable<NonNullable<Parameters<typeof z.toJSONSchema>[1]>["override"]>
>[0]["jsonSchema"];

/** Removes keywords that tell a reader nothing. */
function tidy(schema: JsonSchema, io: "input" | "output"): void {
  // These are the bounds of exact integers in JavaScript, not bounds of the API.
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER && io === "output") delete schema.maximum;
  // The format already says what the pattern says.
  if (io === "output" && schema.format !== undefined) delete schema.pattern;
  // Later versions may add fields to answers, and clients must accept them.
  if (io === "output" && schema.additionalProperties === false) delete schema.additionalProperties;
}
