import { z } from "zod";
import { answerSchemas, bodySchemas } from "../schemas/named-schemas.ts";

type Schemas = Record<string, Record<string, unknown>>;

/** All named schemas as JSON Schema 2020-12, which is OpenAPI 3.1's own. They refer to each other by name. */
export function describeSchemas(): Schemas {
  return { ...schemasOf(bodySchemas, "input"), ...schemasOf(answerSchemas, "output") };
}

/** @param io whether fields with a default may be absent (they are always answered), and unknown fields are refused */
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

/** The schema of one query or header, by its name. */
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

/** Leaves out what says nothing to a reader. */
function tidy(schema: JsonSchema, io: "input" | "output"): void {
  // The bounds of exact integers in JavaScript, which are no bounds of ours.
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER && io === "output") delete schema.maximum;
  // The format says it.
  if (io === "output" && schema.format !== undefined) delete schema.pattern;
  // Answers may get further fields, and clients should not stumble over them.
  if (io === "output" && schema.additionalProperties === false) delete schema.additionalProperties;
}
