import { ExactNumber } from "@genga/comfyui";
import { type JobProblem } from "@genga/jobs";
import { z } from "zod";

/** At most this many unknown fields are named, because a body of megabytes may have a million. */
const unknownFieldsMax = 100;

/**
 * Returns a problem for each field that a schema refused: its path, the given value and the accepted values.
 * @param input the value that was parsed; the problems quote from it
 * @param at the path of `input` itself, if it is part of something larger
 */
export function problemsOf(error: z.ZodError, schema: z.ZodType, input: unknown, at = ""): JobProblem[] {
  const described = describeFields(schema);
  // A value that breaks two limits is reported once, since `accepted` has all the limits.
  const places = new Set<string>();
  return error.issues.flatMap((issue) => {
    const path = [...(at === "" ? [] : [at]), ...issue.path.map(String)].join(".");
    const received = valueAt(input, issue.path);
    if (issue.code === "unrecognized_keys") {
      const fields = fieldNames(described, issue.path);
      return issue.keys
        .slice(0, unknownFieldsMax)
        .map((key) => unknownField(path === "" ? key : `${path}.${key}`, key, fields));
    }
    if (places.has(path)) return [];
    places.add(path);
    const accepted = acceptedAt(described, issue.path);
    return [
      {
        path,
        code: codeOf(issue, received),
        message: `${path === "" ? "The value" : path} ${reasonOf(issue, received)}.`,
        ...(received === undefined ? {} : { received: shorten(received) }),
        ...(accepted === undefined ? {} : { accepted }),
      },
    ];
  });
}

/** A value, shortened so that an answer may repeat it, whatever was sent. */
export function shorten(value: unknown): unknown {
  if (typeof value === "string") return value.length > 200 ? `${value.slice(0, 200)}…` : value;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof ExactNumber) return shorten(value.toJSON());
  if (typeof value === "object" && value !== null) return "an object";
  return value;
}

function unknownField(path: string, key: string, fields: string[]): JobProblem {
  const plain = (name: string): string => name.replace(/[^A-Za-z0-9]/g, "").toLowerCase();
  const meant = fields.find((field) => plain(field) === plain(key));
  const hint = meant === undefined ? "" : ` Did you mean ${meant}?`;
  return {
    path: path.slice(0, 200),
    code: "unknown-field",
    message: `There is no field ${key.slice(0, 100)}.${hint}`,
    received: key.slice(0, 100),
    accepted: meant ?? fields,
  };
}

const codes: Partial<Record<z.core.$ZodIssue["code"], string>> = {
  invalid_type: "wrong-type",
  invalid_value: "unknown-value",
  too_small: "out-of-bounds",
  too_big: "out-of-bounds",
  not_multiple_of: "out-of-bounds",
  custom: "out-of-bounds",
};

function codeOf(issue: z.core.$ZodIssue, received: unknown): string {
  if (received === undefined && issue.code !== "custom") return "missing-field";
  return codes[issue.code] ?? "invalid-value";
}

function reasonOf(issue: z.core.$ZodIssue, received: unknown): string {
  if (issue.code === "custom") return `is refused: ${issue.message}`;
  if (received === undefined) return "is missing";
  return `is ${givenAs(issue, received)}; it ${demandOf(issue)}`;
}

/** The received value in the words of the problem: of a text that is too long, only its length is given. */
function givenAs(issue: z.core.$ZodIssue, received: unknown): string {
  if (typeof received !== "string") return String(shorten(received));
  if (issue.code === "too_big") return `${received.length} characters long`;
  return received === "" ? "empty" : `"${String(shorten(received))}"`;
}

function demandOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.expected === "int" ? "must be a whole number" : `must be ${withArticle(issue.expected)}`;
    case "invalid_value":
      return `must be one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      return `must be ${limitOf(issue.origin, "at least", issue.minimum)}`;
    case "too_big":
      return `must be ${limitOf(issue.origin, "at most", issue.maximum)}`;
    case "not_multiple_of":
      return `must be a multiple of ${issue.divisor}`;
    case "custom":
    case "invalid_element":
    case "invalid_format":
    case "invalid_key":
    case "invalid_union":
    case "unrecognized_keys":
      return issue.message;
  }
}

function limitOf(origin: string, how: string, limit: number | bigint): string {
  if (origin === "string") return `${how} ${limit} characters long`;
  if (origin === "array") return `${how} ${limit} long`;
  return `${how} ${limit}`;
}

function withArticle(type: string): string {
  return type === "object" || type === "array" ? `an ${type}` : `a ${type}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, key)) return undefined;
    current = Reflect.get(current, key);
  }
  return current;
}

type Described = z.core.JSONSchema.JSONSchema;

const descriptions = new WeakMap<z.ZodType, Described>();

/** The schema's own description of the accepted values, worked out once. */
function describeFields(schema: z.ZodType): Described {
  const known = descriptions.get(schema);
  if (known !== undefined) return known;
  const described = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", reused: "inline" });
  descriptions.set(schema, described);
  return described;
}

function describedAt(described: Described, path: readonly PropertyKey[]): Described | undefined {
  let current: unknown = described;
  for (const key of path) {
    if (typeof current !== "object" || current === null) return undefined;
    const { properties, items } = current as Described;
    current = typeof key === "number" ? items : properties?.[String(key)];
  }
  return typeof current === "object" && current !== null ? (current as Described) : undefined;
}

function fieldNames(described: Described, path: readonly PropertyKey[]): string[] {
  return Object.keys(describedAt(described, path)?.properties ?? {});
}

const shownLimits = [
  "type",
  "enum",
  "minimum",
  "maximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "pattern",
] as const;

function acceptedAt(described: Described, path: readonly PropertyKey[]): unknown {
  const field = describedAt(described, path);
  if (field === undefined || path.length === 0) return undefined;
  const limits = shownLimits.flatMap((limit) => (field[limit] === undefined ? [] : [[limit, field[limit]]]));
  return limits.length === 0 ? undefined : Object.fromEntries(limits);
}
