import { type GengaClient, type JobDetail, type NewJob } from "@genga/client";
import { type McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { z } from "zod";
import { jobFacts } from "./job-facts.ts";
import { defined, jobId } from "./reading-tools.ts";
import { answered, factsResult } from "./tool-results.ts";

const changing = { readOnlyHint: false, destructiveHint: false, openWorldHint: false };
/** The official clients give a call up after 60 s unless they were told to wait longer, or to count from its last progress. */
const watchSecondsDefault = 45;
const watchSecondsMax = 300;

const submitted = {
  prompt: z.string().optional().describe("what shall be seen"),
  negativePrompt: z.string().optional(),
  type: z.enum(["image", "video"]).optional().describe("image unless said"),
  template: z
    .string()
    .optional()
    .describe("a stored template in place of type; its parameters go into values"),
  values: z.record(z.string(), z.unknown()).optional().describe("of the template's parameters"),
  workflow: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("a graph in ComfyUI's API format, in place of all that"),
  parameters: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("other fields of the job: width, height, steps, cfg, seed, model, loras, frames, …"),
  project: z.string().optional(),
  tags: z.array(z.string()).optional(),
};

/** Tools that submit, wait and cancel. They may what the API key may. */
export function addWorkingTools(server: McpServer, client: GengaClient): void {
  server.registerTool(
    "submit_job",
    {
      title: "Submit a job",
      description:
        "Submits a job that makes a picture or a video, and answers with its id at once. watch_job waits for its end, look_at_output shows what it made.",
      inputSchema: submitted,
      annotations: { ...changing, idempotentHint: false },
    },
    ({ parameters = {}, workflow, template, type, ...fields }) =>
      answered(async () => {
        const kind =
          workflow !== undefined
            ? { type: "workflow", workflow }
            : template !== undefined
              ? { template }
              : { type: type ?? "image" };
        // The API says what is wrong with it, by field.
        const job = { ...parameters, ...defined(fields), ...kind } as unknown as NewJob;
        const { id, status, warnings, notChecked } = await client.submit(job);
        return factsResult({ id, status, ...(warnings && { warnings }), ...(notChecked && { notChecked }) });
      }),
  );
  addWatching(server, client);
}

function addWatching(server: McpServer, client: GengaClient): void {
  server.registerTool(
    "watch_job",
    {
      title: "Watch a job",
      description: "Waits until a job has ended, for a while at most, and says how it stands then.",
      inputSchema: {
        id: jobId,
        seconds: z
          .int()
          .min(1)
          .max(watchSecondsMax)
          .default(watchSecondsDefault)
          .describe("how long to wait; many clients give a call up after 60"),
      },
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    ({ id, seconds }, { signal, _meta: meta, sendNotification }) =>
      answered(async () => {
        const progressToken = meta?.progressToken;
        const tell = ({ progress }: JobDetail): void => {
          if (progressToken === undefined) return;
          const params = {
            progressToken,
            progress: progress.percent,
            total: 100,
            message: progress.nodeTitle ?? "",
          };
          void sendNotification({ method: "notifications/progress", params });
        };
        try {
          await client.waitFor(
            { id, status: "queued" },
            { signal, timeoutMs: seconds * 1_000, onProgress: tell },
          );
        } catch (error) {
          if (!(error instanceof DOMException) || error.name !== "TimeoutError") throw error;
        }
        return factsResult(jobFacts(await client.job(id)));
      }),
  );
  server.registerTool(
    "cancel_job",
    {
      title: "Cancel a job",
      description: "Cancels a job that waits or runs. One that has ended stays as it is.",
      inputSchema: { id: jobId },
      annotations: { ...changing, destructiveHint: true, idempotentHint: true },
    },
    ({ id }) =>
      answered(async () => {
        await client.cancel({ id });
        return factsResult(jobFacts(await client.job(id)));
      }),
  );
}
