import { createHash } from "node:crypto";
import { type ComfyUIConnector, ComfyUIError } from "@genga/comfyui";
import { type Json, type StoredDefinitions } from "@genga/jobs";
import { z } from "zod";

const timeoutMs = 30_000;
const jsonSchema: z.ZodType<Json> = z.json();

export interface DefinitionsRead {
  /** Equal for servers with the same nodes, models and replacements. */
  hash: string;
  /** As they are stored; parsed only when wanted, since most reads bring what is known already. */
  toStored(): StoredDefinitions;
}

/** Asks a server what it can run. @throws ComfyUIError */
export async function readDefinitions(
  connector: ComfyUIConnector,
  options: { replacesNodes: boolean; signal: AbortSignal },
): Promise<DefinitionsRead> {
  const { replacesNodes, signal } = options;
  const objectInfo = await readJson(connector, "/object_info", signal);
  const replacements = replacesNodes ? await readReplacements(connector, signal) : null;
  const hash = createHash("sha256")
    .update(objectInfo)
    .update(replacements ?? "");
  return {
    hash: hash.digest("hex"),
    toStored: () => ({
      objectInfo: jsonSchema.parse(JSON.parse(objectInfo)),
      replacements: replacements === null ? null : jsonSchema.parse(JSON.parse(replacements)),
    }),
  };
}

/** A server that promises the route and does not have it replaces nothing. */
async function readReplacements(connector: ComfyUIConnector, signal: AbortSignal): Promise<string | null> {
  try {
    return await readJson(connector, "/node_replacements", signal);
  } catch (error) {
    if (error instanceof ComfyUIError && error.code === "request_refused") return null;
    throw error;
  }
}

/** Numbers that are none (Python's NaN and Infinity) become null, as `jsonb` holds them. */
async function readJson(connector: ComfyUIConnector, path: string, signal: AbortSignal): Promise<string> {
  return JSON.stringify((await connector.makeRequest("GET", path, { timeoutMs, signal })) ?? null);
}
