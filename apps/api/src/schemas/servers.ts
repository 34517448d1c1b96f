import { recycleOutcomes, serverSources, shownServerStates } from "@genga/jobs";
import { z } from "zod";

/** Of a field that other keys are not shown. */
export const forOperators = "Shown to keys of the role operate.";

/** A server, as it is shown. */
export const serverViewSchema = z.object({
  id: z.uuid(),
  name: z.string().describe("A public name that never changes and does not reveal the server's address."),
  url: z.string().optional().describe(forOperators),
  state: z
    .enum(shownServerStates)
    .describe(
      "The state in which its worker last saw it (`denied`: the server, or a proxy before it, refuses the credentials; `retiring`: no source names it any more, and it ends what it has); `unowned` when no worker owns it; `retired` when no worker's sources name it any more.",
    ),
  stateReason: z.string().nullable().optional().describe(forOperators),
  stateSince: z.string(),
  draining: z.boolean(),
  slots: z.int().optional().describe(`How many prompts it may hold, as configured. ${forOperators}`),
  jobsHeld: z
    .int()
    .optional()
    .describe(
      `Jobs that hold its slots. There may be more of them than slots if each takes less than 100 ms. ${forOperators}`,
    ),
  worker: z.string().nullable().optional().describe(forOperators),
  version: z.string().nullable().describe("ComfyUI's own."),
  labels: z.array(z.string()).describe("From the source that names it; jobs may require them."),
  source: z
    .enum(serverSources)
    .optional()
    .describe(
      `What names it: \`setting\` COMFYUI_URLS, \`file\` COMFYUI_SERVERS_FILE, \`api\` an operator. ${forOperators}`,
    ),
  resolvedFrom: z
    .string()
    .nullable()
    .optional()
    .describe(
      `The host name that DNS resolved to its address; null = its source gives the address. ${forOperators}`,
    ),
  credential: z
    .string()
    .nullable()
    .optional()
    .describe(`The name of its credentials in COMFYUI_SERVERS_FILE. ${forOperators}`),
  isAdded: z
    .boolean()
    .optional()
    .describe(`An operator added it by the API, and can remove it. ${forOperators}`),
  addedAt: z
    .string()
    .nullable()
    .optional()
    .describe(`When that was; null = it is not added. ${forOperators}`),
  hasAuthorization: z
    .boolean()
    .optional()
    .describe(`Credentials were given with it, which are shown nowhere. ${forOperators}`),
  abilities: z
    .object({
      cancelsById: z.boolean().describe("The server can end a prompt by its id in one step."),
      namesPreviews: z.boolean().describe("Preview images name their prompt and node."),
      replacesNodes: z.boolean().describe("The server replaces nodes of classes that it no longer has."),
      hasAssets: z.boolean().describe("The server identifies files by their content."),
      uploadBytesMax: z.int().nullable().describe("The size of the largest request that the server accepts."),
    })
    .nullable()
    .optional()
    .describe(`Abilities that not every ComfyUI has; null until the server was probed. ${forOperators}`),
  devices: z
    .array(
      z.object({
        name: z.string().describe("As the server calls it."),
        type: z.string().describe("`cuda`, `cpu`, …; may be empty."),
        vramTotalBytes: z.number(),
        vramFreeBytes: z.number().describe("Up to about ten seconds old, and only roughly so much."),
      }),
    )
    .nullable()
    .optional()
    .describe(`Its devices and their memory; null while it does not answer. ${forOperators}`),
  isKnown: z.boolean(),
  promptsSinceRecycle: z
    .int()
    .optional()
    .describe(`Prompts that ended on it since it was last recycled. ${forOperators}`),
  recycling: z
    .object({
      reason: z.string(),
      askedAt: z.string().nullable(),
      begunAt: z.string().nullable().describe("null = it waits for its turn."),
    })
    .nullable()
    .optional()
    .describe(`Why it is being recycled, or is to be. ${forOperators}`),
  lastRecycle: z
    .object({
      at: z.string(),
      reason: z.string(),
      outcome: z
        .enum(recycleOutcomes)
        .describe(
          "`busy`: prompts of other clients did not end; `not-freed`: it did not take the request; `hook-failed`: see the message.",
        ),
      message: z.string().nullable().describe("Exit code and last output of the hook, or the error."),
    })
    .nullable()
    .optional()
    .describe(forOperators),
});
