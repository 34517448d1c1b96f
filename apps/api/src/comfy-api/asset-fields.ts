import { InvalidJobError, unstorable, type AssetFields, type JobProblem } from "@genga/jobs";
import { problemsOf } from "@genga/workflows";
import { z } from "zod";

const secondsMin = 60;
const secondsMax = 604_800;
const pathLengthMax = 1_024;
const tagsMax = 16;

const text = (lengthMax: number): z.ZodString =>
  z
    .string()
    .max(lengthMax)
    .refine((given) => unstorable(given) === undefined, {
      error: "it contains NUL or half of a surrogate pair",
    });
const seconds = z.int().min(secondsMin).max(secondsMax);
const described = {
  file_path: text(pathLengthMax).optional(),
  tags: z.array(text(100)).max(tagsMax).optional(),
  expires_in: seconds.optional(),
};

const formSchema = z.object({
  ...described,
  file_path: text(pathLengthMax),
  // The content says what it is, whatever is declared.
  content_type: text(200),
  // One that is no hash at all is one that no content has.
  expected_hash: z.string().optional(),
  expires_in: z.coerce.number().pipe(seconds).optional(),
});

/** The fields of the form that uploads an asset, while they arrive. */
export class AssetForm {
  readonly #texts = new Map<string, string>();
  readonly #tags: string[] = [];

  /** Fields that are not known are read past. */
  note(name: string, value: string): void {
    if (name === "tags") this.#tags.push(value);
    else if (Object.hasOwn(formSchema.shape, name)) this.#texts.set(name, value);
  }

  /** The hash that was declared so far, in lower case. */
  get expectedHash(): string | undefined {
    return this.#texts.get("expected_hash")?.toLowerCase();
  }

  /** @throws InvalidJobError naming each field that is missing or not valid */
  read(): AssetFields {
    return fieldsOf(parse(formSchema, { ...Object.fromEntries(this.#texts), tags: this.#tags }));
  }
}

const fromHashSchema = z.object({ ...described, hash: z.string() });
const hashPattern = /^blake3:([0-9a-f]{64})$/;

/**
 * Reads `{hash, file_path?, tags?, expires_in?}`.
 * @returns `blake3`: the hash in lower case, without what names its kind; any other text is that of no content
 * @throws InvalidJobError
 */
export function readFromHash(body: unknown): { blake3: string; fields: AssetFields } {
  const read = parse(fromHashSchema, body);
  const blake3 = hashPattern.exec(read.hash.toLowerCase())?.[1] ?? "";
  return { blake3, fields: fieldsOf(read) };
}

function fieldsOf({
  file_path: filePath,
  tags,
  expires_in: expiresInSeconds,
}: {
  file_path?: string | undefined;
  tags?: string[] | undefined;
  expires_in?: number | undefined;
}): AssetFields {
  return {
    filePath: filePath === undefined || filePath === "" ? null : filePath,
    tags: tags ?? [],
    expiresInSeconds: expiresInSeconds ?? null,
  };
}

function parse<Schema extends z.ZodObject>(schema: Schema, given: unknown): z.output<Schema> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems: JobProblem[] = problemsOf(parsed.error, schema, given);
  throw new InvalidJobError(problems);
}
