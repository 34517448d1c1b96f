import { readFileSync } from "node:fs";
import { join } from "node:path";
import { objectInfoSchema, type ObjectInfo } from "@genga/comfyui";
import { z } from "zod";
import type { KnownServer } from "@genga/workflows";

/** Node definitions and graphs as a real server gave and ran them. */
export function recorded(name: string): Record<string, unknown> {
  const text = readFileSync(join(import.meta.dirname, "recordings", `${name}.json`), "utf8");
  return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
}

export const coreNodes = recorded("core");
export const animateDiffNodes = recorded("animatediff");
export const videoHelperSuiteNodes = recorded("video-helper-suite");

export function objectInfoOf(...packs: Record<string, unknown>[]): ObjectInfo {
  return objectInfoSchema.parse(Object.assign({}, ...packs));
}

export const everything = objectInfoOf(coreNodes, animateDiffNodes, videoHelperSuiteNodes);

/** A server with these node definitions; equal ids have equal definitions. */
export function serverWith(id: string, objectInfo: ObjectInfo): KnownServer {
  return { id, definitionsHash: id, objectInfo };
}

/** These definitions, with another list of accepted values for one input. */
export function withList(
  objectInfo: ObjectInfo,
  classType: string,
  input: string,
  values: string[],
): ObjectInfo {
  const node = objectInfo[classType];
  if (node === undefined) throw new Error(`${classType} was not recorded.`);
  const required = { ...node.input.required, [input]: [values] as [string[]] };
  return { ...objectInfo, [classType]: { ...node, input: { ...node.input, required } } };
}

/** These definitions without some classes. */
export function without(objectInfo: ObjectInfo, ...classTypes: string[]): ObjectInfo {
  return Object.fromEntries(Object.entries(objectInfo).filter(([name]) => !classTypes.includes(name)));
}
