import { createHash } from "node:crypto";
import { modelKinds } from "@genga/comfyui";
import { z } from "zod";
import { Sight } from "../access/sight.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { isFreshTag } from "../http/entity-tag.ts";
import { storableText } from "../http/request-values.ts";
import { json } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { route } from "../routing/route.ts";
import { keyOf, type ListedName, type ModelCatalogue } from "../servers/model-catalogue.ts";

const modelsQuerySchema = z.strictObject({
  kind: z
    .array(z.enum(modelKinds))
    .min(1)
    .max(modelKinds.length)
    .optional()
    .describe("One or several, separated by commas."),
  text: storableText(200).optional().describe("Found anywhere in the name, ignoring case."),
  server: z.uuid({ error: "is not a server's id" }).optional().describe("Only what this server has."),
  limit: z.coerce.number().int().min(1).max(1_000).default(200),
  cursor: storableText(1_100).optional().describe("`nextCursor` of the previous page."),
});
type ModelsQuery = z.output<typeof modelsQuerySchema>;

const tagHeader = {
  ETag: { description: "The same as long as the answer is.", schema: { type: "string" } },
} as const;

/** An entry shows at most this many servers, so that an answer about a farm of hundreds stays small. */
const serversShownMax = 20;

export const listModels = route({
  id: "listModels",
  tag: "farm",
  method: "GET",
  path: "models",
  access: "read",
  summary: "The models, samplers and schedulers that the servers have",
  description:
    "By kind and name, as the servers' lists have them, and which servers have each. Embeddings are not listed: prompts name " +
    "them, and no list of a server shows them.",
  query: modelsQuerySchema,
  headers: z.object({ "If-None-Match": z.string().max(1_000).optional() }),
  answers: {
    200: { description: "A page of them.", content: json("Models"), headers: tagHeader },
    304: { description: "The client has this answer already.", headers: tagHeader },
  },
  problems: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request"],
  handler: async (
    { query, headers, principal },
    { servers, models }: Pick<ApiDependencies, "servers" | "models">,
  ) => {
    const [catalogue, farm] = await Promise.all([models.catalogue(), servers.farm()]);
    const page = pageOf(catalogue, query, new Sight(principal, farm.named));
    const content = JSON.stringify(page);
    const etag = `"${createHash("sha256").update(content).digest("base64url")}"`;
    const tagged = { etag, "cache-control": "private, no-cache" };
    if (isFreshTag(headers["If-None-Match"], etag)) return { status: 304, headers: tagged };
    return { headers: tagged, text: { mediaType: "json", content } };
  },
});

function pageOf(catalogue: ModelCatalogue, query: ModelsQuery, sight: Sight): AnswerOf<"Models"> {
  const { limit, cursor = "" } = query;
  const found = catalogue.entries.filter(matching(query));
  const after = found.filter((entry) => keyOf(entry) > cursor);
  const page = after.slice(0, limit);
  const last = after.length > limit ? page.at(-1) : undefined;
  const counts = new Map<ListedName["kind"], number>();
  for (const { kind } of found) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return {
    models: page.map(({ kind, name, servers }) => ({
      ...{ kind, name, serversCount: servers.length },
      servers: servers.slice(0, serversShownMax).map((id) => sight.server(id)),
    })),
    kinds: [...counts].map(([kind, count]) => ({ kind, count })),
    serversKnown: catalogue.servers.length,
    nextCursor: last === undefined ? null : keyOf(last),
  };
}

function matching({ kind: kinds, text, server }: ModelsQuery): (entry: ListedName) => boolean {
  const wanted = text?.toLowerCase();
  const id = server?.toLowerCase();
  return ({ kind, name, servers }) =>
    (kinds === undefined || kinds.includes(kind)) &&
    (wanted === undefined || name.toLowerCase().includes(wanted)) &&
    (id === undefined || servers.includes(id));
}
