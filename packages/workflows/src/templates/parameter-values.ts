import { randomInt } from "node:crypto";
import { ExactNumber, isObject, numberOf } from "@genga/comfyui";
import {
  outputMember,
  readUploadName,
  uploadName,
  type JobProblem,
  type Json,
  type Upload,
} from "@genga/jobs";
import { seedMax } from "../parameters/image-parameters.ts";
import { outputReferenceSchema } from "../parameters/output-reference.ts";
import { shorten } from "../parameters/parameter-problems.ts";
import { type TemplateParameter } from "./template-parameter.ts";

/** A value that a parameter accepts. */
interface CheckedValue {
  /** What goes into the graph. */
  value: unknown;
  /** What is kept with the job: integers beyond 2^53−1 are text. */
  kept: Json;
}

type Checked = CheckedValue | { problem: JobProblem };

/**
 * Checks a value against its parameter. What only a server can tell, such as whether it has a model, is not checked here.
 * @param path where the client gave it
 * @param uploads the tenant's uploads by id; absent = images are not looked up
 */
export function checkValue(
  parameter: TemplateParameter,
  value: unknown,
  path: string,
  uploads?: ReadonlyMap<string, Upload>,
): Checked {
  switch (parameter.type) {
    case "string":
      return checkText(parameter, value, path);
    case "integer":
    case "seed":
      return checkInteger(parameter, value, path);
    case "number":
      return checkNumber(parameter, value, path);
    case "boolean":
      return typeof value === "boolean" ? { value, kept: value } : wrongType(path, value, "true or false");
    case "choice":
      return checkChoice(parameter, value, path);
    case "model":
      return typeof value === "string" && value !== ""
        ? checkChoice(parameter, value, path)
        : wrongType(path, value, "the name of a model");
    case "image":
      return checkImage(value, path, uploads);
  }
}

/** A seed for a job whose submission names none. Of a wide range the lowest 2^48 seeds are drawn. */
export function drawSeed({ min = 0, max = String(seedMax) }: { min?: Bound; max?: Bound }): Json {
  const [low, high] = [BigInt(min), BigInt(max)];
  const range = high - low < widest ? Number(high - low) : Number(widest);
  return keptInteger(low + BigInt(range === 0 ? 0 : randomInt(range + 1)));
}
/** `randomInt` draws from fewer than 2^48 numbers. */
const widest = 2n ** 48n - 2n;

type Bound = number | string | undefined;

function checkText(
  { lengthMin = 0, lengthMax = 10_000 }: { lengthMin?: number | undefined; lengthMax?: number | undefined },
  value: unknown,
  path: string,
): Checked {
  if (typeof value !== "string") return wrongType(path, value, "a text");
  if (value.length >= lengthMin && value.length <= lengthMax) return { value, kept: value };
  const accepted = { minLength: lengthMin, maxLength: lengthMax };
  const message = `${path} is ${value.length} characters long; it must have from ${lengthMin} to ${lengthMax}.`;
  return { problem: { path, code: "out-of-bounds", message, received: shorten(value), accepted } };
}

function checkInteger(
  parameter: TemplateParameter & { type: "integer" | "seed" },
  value: unknown,
  path: string,
): Checked {
  const given = integerOf(value);
  if (given === undefined) return wrongType(path, value, "a whole number");
  const isSeed = parameter.type === "seed";
  const min = parameter.min ?? (isSeed ? 0 : undefined);
  const max = parameter.max ?? (isSeed ? String(seedMax) : undefined);
  const step = parameter.type === "integer" ? parameter.multipleOf : undefined;
  const isInside = (min === undefined || given >= BigInt(min)) && (max === undefined || given <= BigInt(max));
  if (isInside && (step === undefined || given % BigInt(step) === 0n)) {
    const kept = keptInteger(given);
    return { value: typeof kept === "number" ? kept : new ExactNumber(String(given)), kept };
  }
  return outOfBounds(path, value, { min, max, multipleOf: step });
}

function checkNumber(
  { min, max }: { min?: number | undefined; max?: number | undefined },
  value: unknown,
  path: string,
): Checked {
  const given = numberOf(value);
  if (given === undefined || !Number.isFinite(given)) return wrongType(path, value, "a number");
  return (min === undefined || given >= min) && (max === undefined || given <= max)
    ? { value, kept: value instanceof ExactNumber ? value.toJSON() : given }
    : outOfBounds(path, value, { min, max });
}

function checkChoice(
  { choices }: { choices?: readonly (string | number | boolean)[] | undefined },
  value: unknown,
  path: string,
): Checked {
  const given = numberOf(value) ?? value;
  if (typeof given !== "string" && typeof given !== "number" && typeof given !== "boolean")
    return wrongType(path, value, "a text, a number, true or false");
  if (choices === undefined || choices.includes(given))
    return { value, kept: value instanceof ExactNumber ? value.toJSON() : given };
  const accepted = choices.slice(0, shownMax);
  const shown = accepted.map((choice) => JSON.stringify(choice)).join(", ");
  const message = `${path} is ${JSON.stringify(shorten(given))}; it must be one of ${shown}${choices.length > shownMax ? ", …" : ""}.`;
  return { problem: { path, code: "unknown-value", message, received: shorten(given), accepted } };
}
const shownMax = 50;

function checkImage(value: unknown, path: string, uploads: ReadonlyMap<string, Upload> | undefined): Checked {
  const output = outputReferenceSchema.safeParse(value).data;
  if (output !== undefined && isObject(value)) return { value: { [outputMember]: output }, kept: output };
  if (typeof value !== "string")
    return wrongType(
      path,
      value,
      'the id of an upload, or {"from": the key or id of a job, "output": its index}',
    );
  // The graph's names of uploads are looked up with the graph.
  if (readUploadName(value) !== null || uploads === undefined) return { value, kept: value };
  const upload = uploads.get(value.toLowerCase());
  if (upload !== undefined) return { value: uploadName(upload), kept: upload.id };
  const message = `${path}: there is no upload ${String(shorten(value))}; send the image to POST /api/anime/uploads first.`;
  return { problem: { path, code: "unknown-upload", message, received: shorten(value) } };
}

/** A whole number: as such, as one of JSON beyond 2^53−1, as a float without a fraction, or as the text of its digits. */
function integerOf(value: unknown): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (value instanceof ExactNumber) {
    if (!value.isFloat) return value.text.length <= digitsMax ? value.toBigInt() : undefined;
    const number = value.toNumber();
    return Number.isSafeInteger(number) ? BigInt(number) : undefined;
  }
  return typeof value === "string" && /^-?\d{1,20}$/.test(value) ? BigInt(value) : undefined;
}
/** Of 2^64−1, and a sign. */
const digitsMax = 21;

function keptInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function wrongType(path: string, value: unknown, accepted: string): { problem: JobProblem } {
  const shown =
    value === null
      ? "null"
      : typeof value === "string"
        ? JSON.stringify(shorten(value))
        : String(shorten(value));
  const message = `${path} is ${shown}; it must be ${accepted}.`;
  return { problem: { path, code: "wrong-type", message, received: shorten(value), accepted } };
}

function outOfBounds(
  path: string,
  value: unknown,
  { min, max, multipleOf }: { min?: Bound; max?: Bound; multipleOf?: number | undefined },
): { problem: JobProblem } {
  const demands = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
    ...(multipleOf === undefined ? [] : [`a multiple of ${multipleOf}`]),
  ];
  const limits = Object.entries({ min, max, multipleOf }).filter(([, limit]) => limit !== undefined);
  const message = `${path} is ${String(shorten(value))}; it must be ${demands.join(" and ")}.`;
  const accepted = Object.fromEntries(limits);
  return { problem: { path, code: "out-of-bounds", message, received: shorten(value), accepted } };
}
