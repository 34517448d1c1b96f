import { type GengaClient, GengaError, type Output } from "@genga/client";
import { type McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { type CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";
import { jobFacts } from "./job-facts.ts";
import { answered, factsResult } from "./tool-results.ts";

const reading = { readOnlyHint: true, openWorldHint: false };
export const jobId = z.guid().describe("the id of a job");
const statuses = ["queued", "processing", "completed", "failed", "timeout", "cancelled"] as const;
/** What a text output may have; more is cut off, and the result says so. */
const textCharactersMax = 20_000;
/** Templates that are listed with their parameters, and how many of them are asked for at once. */
const detailsMax = 50;
const togetherMax = 5;

/** Tools that change nothing. */
export function addReadingTools(server: McpServer, client: GengaClient): void {
  server.registerTool(
    "list_templates",
    {
      title: "List templates",
      description:
        "Lists the templates that jobs can be made of, the first 50 with their parameters, or one of them by name. The built-in ones are image and video.",
      inputSchema: { name: z.string().min(1).optional().describe("only this one") },
      annotations: reading,
    },
    ({ name }) =>
      answered(async () => {
        if (name !== undefined) return factsResult(await template(client, name));
        const names = await templateNames(client);
        const templates: object[] = [];
        for (let from = 0; from < Math.min(names.length, detailsMax); from += togetherMax) {
          const some = names.slice(from, from + togetherMax).map((each) => template(client, each));
          templates.push(...(await Promise.all(some.map((each) => each.catch(unlessGone)))).flat());
        }
        const others = names.slice(detailsMax);
        return factsResult({ templates, ...(others.length > 0 && { othersByNameAlone: others }) });
      }),
  );
  server.registerTool(
    "list_models",
    {
      title: "List models",
      description: "Lists the checkpoints, LoRAs, samplers and so on that the servers have.",
      inputSchema: {
        kind: z.string().optional().describe("checkpoints, loras, vae, samplers, schedulers, …"),
        text: z.string().optional().describe("a part of the name"),
      },
      annotations: reading,
    },
    ({ kind, text }) =>
      answered(async () => {
        const query = {
          limit: 200,
          ...(kind !== undefined && { kind: [kind as "loras"] }),
          ...(text !== undefined && { text }),
        };
        const { data } = await client.http.GET("/api/anime/models", { params: { query } });
        const models = data?.models.map(({ kind: of, name, serversCount }) => ({
          kind: of,
          name,
          serversCount,
        }));
        return factsResult({ models, thereAreMore: data?.nextCursor !== null });
      }),
  );
  addJobTools(server, client);
}

function addJobTools(server: McpServer, client: GengaClient): void {
  server.registerTool(
    "list_jobs",
    {
      title: "List jobs",
      description: "Lists jobs, newest first.",
      inputSchema: {
        status: z.array(z.enum(statuses)).optional(),
        text: z.string().optional().describe("words of the prompt"),
        project: z.string().optional(),
        limit: z.int().min(1).max(50).default(20),
      },
      annotations: reading,
    },
    ({ status, ...filter }) =>
      answered(async () => {
        const query = { ...defined(filter), ...(status !== undefined && { status: status }) };
        const { data } = await client.http.GET("/api/anime/jobs", { params: { query } });
        return factsResult(
          data?.jobs.map(({ id, type, status: stands, prompt, createdAt, progress: { percent } }) => ({
            ...{ id, type, status: stands, prompt, createdAt, percent },
          })),
        );
      }),
  );
  server.registerTool(
    "show_job",
    {
      title: "Show a job",
      description:
        "Shows how a job stands: status, progress, why it waits or what went wrong, and its outputs.",
      inputSchema: { id: jobId },
      annotations: reading,
    },
    ({ id }) => answered(async () => factsResult(jobFacts(await client.job(id)))),
  );
  server.registerTool(
    "look_at_output",
    {
      title: "Look at an output",
      description:
        "Shows an output of a job as an image (of a video or an animation its first frame), or as its text. The whole file is at the output's url.",
      inputSchema: {
        id: jobId,
        index: z.int().min(0).default(0).describe("which of the job's outputs"),
        size: z.enum(["256", "512", "1024"]).default("512").describe("the longer side, in pixels"),
      },
      annotations: reading,
    },
    ({ id, index, size }) => answered(() => lookAt(client, id, index, size)),
  );
}

async function templateNames(client: GengaClient): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | undefined;
  do {
    const query = { limit: 200, ...(cursor !== undefined && { cursor }) };
    const { data } = await client.http.GET("/api/anime/templates", { params: { query } });
    names.push(...(data?.templates.map(({ name }) => name) ?? []));
    cursor = data?.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return names;
}

/** A template that was archived meanwhile is left out. @throws any other error */
function unlessGone(error: unknown): [] {
  if (error instanceof GengaError && (error.status === 404 || error.status === 410)) return [];
  throw error;
}

async function template(client: GengaClient, name: string): Promise<object> {
  const { data } = await client.http.GET("/api/anime/templates/{name}", { params: { path: { name } } });
  return { name: data?.name, description: data?.description, parameters: data?.parameters };
}

async function lookAt(
  client: GengaClient,
  id: string,
  index: number,
  size: "256" | "512" | "1024",
): Promise<CallToolResult> {
  const output = (await client.outputs(id)).find((each) => each.index === index);
  if (output === undefined)
    return {
      isError: true,
      content: [{ type: "text", text: `The job has no output ${index}; show_job lists them.` }],
    };
  if (output.kind === "text") return textOf(output);
  if (output.links.thumbnail === undefined)
    return {
      content: [
        { type: "text", text: `${output.mediaType} cannot be shown; the file: ${output.links.content}` },
      ],
    };
  const { data } = await client.http.GET("/api/anime/outputs/{id}/thumbnail", {
    params: { path: { id: output.id }, query: { size, format: "jpeg" } },
    parseAs: "arrayBuffer",
  });
  const base64 = Buffer.from(data as unknown as ArrayBuffer).toString("base64");
  return {
    content: [
      { type: "image", data: base64, mimeType: "image/jpeg" },
      {
        type: "text",
        text: `${output.mediaType}, ${output.width}×${output.height}; the file: ${output.links.content}`,
      },
    ],
  };
}

function textOf({ text }: Output): CallToolResult {
  const whole = text ?? "";
  const isCut = whole.length > textCharactersMax;
  const shown = isCut
    ? `${whole.slice(0, textCharactersMax)}\n[cut off; the text has ${whole.length} characters]`
    : whole;
  return { content: [{ type: "text", text: shown }] };
}

/** Without the fields that are not set. */
export function defined<Fields extends object>(
  fields: Fields,
): { [Name in keyof Fields]: Exclude<Fields[Name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
