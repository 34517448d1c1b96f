import { show, type InputProblem } from "../graph/graph-problem.ts";
import { toComparable, toPythonFloat, toPythonInt } from "../graph/python-values.ts";

/** The bounds and the step of an input, with all their digits as far as they are known. */
export interface Range {
  min?: number | bigint;
  max?: number | bigint;
  step?: number | bigint;
}

/** Reads the range that a definition shows. */
export function rangeOf({ min, max, step }: Record<string, unknown>): Range {
  const [minNumber, maxNumber, stepNumber] = [boundOf(min), boundOf(max), boundOf(step)];
  return {
    ...(minNumber !== undefined && { min: exactBound(minNumber) }),
    ...(maxNumber !== undefined && { max: exactBound(maxNumber) }),
    ...(stepNumber !== undefined && { step: stepNumber }),
  };
}

/**
 * Bounds that occur in the definitions of ComfyUI's own classes and that JavaScript numbers round: `sys.maxsize`, the
 * largest seed, and the same below zero.
 */
const roundedBounds: readonly (readonly [rounded: number, exact: bigint])[] = [
  [2 ** 63, 2n ** 63n - 1n],
  [2 ** 64, 2n ** 64n - 1n],
  [-(2 ** 63), 1n - 2n ** 63n],
  [-(2 ** 64), 1n - 2n ** 64n],
];

function boundOf(value: unknown): number | bigint | undefined {
  return typeof value === "boolean" ? undefined : toComparable(value);
}

/** The bound as its author probably wrote it: classes of node packs may also mean the rounded number itself. */
function exactBound(bound: number | bigint): number | bigint {
  return roundedBounds.find(([rounded]) => rounded === bound)?.[1] ?? bound;
}

/**
 * Whether a plain number was rounded to the same value as the bound, so that the author may have written the bound
 * itself.
 */
function isRoundedAlike(value: unknown, bound: number | bigint): boolean {
  return roundedBounds.some(([rounded, exact]) => value === rounded && bound === exact);
}

/**
 * Whether the value is so near to the lower bound that only the digits which were lost when the definition was read tell on which side
 * it is. Upper bounds are read as ComfyUI's own classes write them: nearly all are those of seeds.
 */
export function isAtRoundedMin(value: unknown, options: Record<string, unknown> = {}): boolean {
  const min = boundOf(options["min"]);
  const number = Number(toPythonInt(value) ?? toPythonFloat(value));
  return typeof min === "number" && Math.abs(min) > Number.MAX_SAFE_INTEGER && number === min;
}

/** Finds a value that is outside of the range; `number` is what Python makes of the value. */
export function checkRange(
  value: unknown,
  number: number | bigint,
  options: Record<string, unknown>,
): InputProblem | undefined {
  const { min, max, step } = rangeOf(options);
  const accepted = Object.fromEntries(
    Object.entries({ min, max, step }).flatMap(([key, bound]) =>
      bound === undefined ? [] : [[key, typeof bound === "bigint" ? String(bound) : bound]],
    ),
  );
  const isOnceRounded = (bound: number | bigint): boolean =>
    typeof number === "bigint" && isRoundedAlike(value, bound);
  if (min !== undefined && number < min && !isOnceRounded(min)) {
    const text = `${show(value)} is smaller than the smallest accepted value, ${min}.`;
    return { code: "value_smaller_than_min", text, received: value, accepted };
  }
  if (max !== undefined && number > max && !isOnceRounded(max)) {
    const text = `${show(value)} is bigger than the biggest accepted value, ${max}.`;
    return { code: "value_bigger_than_max", text, received: value, accepted };
  }
  return undefined;
}
