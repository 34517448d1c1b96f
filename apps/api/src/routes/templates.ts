import { isObject } from "@genga/comfyui";
import { actorOf, type Principal, type StoredTemplate, type TemplateSaved } from "@genga/jobs";
import {
  builtInTemplates,
  isBuiltInTemplate,
  readDefinition,
  readGraph,
  suggestParameters,
  type BuiltInTemplateName,
} from "@genga/workflows";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { RefusedError } from "../http/problem-document.ts";
import { readObject, storableText } from "../http/request-values.ts";
import { jsonValue } from "../routing/bodies.ts";
import { json, location } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { route } from "../routing/route.ts";
import { graphSchema } from "../schemas/templates.ts";
import { readNewTemplate, type ReadTemplate } from "../templates/read-template.ts";
import {
  detailOfBuiltIn,
  detailOfTemplate,
  viewOfBuiltIn,
  viewOfTemplate,
  type ChoicesNow,
} from "../templates/template-view.ts";

type Parts = Pick<ApiDependencies, "templates" | "templateJudge" | "servers" | "models">;

const ofTemplate = { tag: "templates", access: "read", subject: "template" } as const;

/** Problems of the body that describes a template. */
const definitionProblems = [
  ...(["invalid-request", "missing-field", "out-of-bounds", "unknown-target", "unknown-upload"] as const),
  ...(["invalid-graph", "editor-format", "forbidden-file", "denied-node-class"] as const),
] as const;

export const addTemplate = route({
  id: "addTemplate",
  tag: "templates",
  method: "POST",
  path: "templates",
  access: "submit",
  summary: "Store a graph with typed parameters",
  description:
    "Its first version; of an archived template of this name the next one. Where no known server can run it now, it is stored, " +
    "and the warnings say why. The same request again changes nothing.",
  body: jsonValue("NewTemplate", readNewTemplate),
  answers: {
    200: { description: "It was there, and is the same.", content: json("StoredTemplate") },
    201: { description: "It is stored.", content: json("StoredTemplate"), headers: location },
  },
  problems: [...definitionProblems, "template-name-taken", "too-many-templates"],
  handler: async ({ body, principal, baseUrl }, parts: Parts) => {
    const { name, ...read } = body;
    return await save(read, { principal, baseUrl, parts }, (version) =>
      parts.templates.addTemplate(principal.tenant.id, name, version, actorOf(principal)),
    );
  },
});

export const replaceTemplate = route({
  ...ofTemplate,
  id: "replaceTemplate",
  method: "PUT",
  path: "templates/:name",
  access: "submit",
  summary: "Add a version to a template",
  description:
    "From now on it is the latest one. Earlier versions stay as they are, can be read, and jobs can be made of them. If the " +
    "latest version is the same already, none is added.",
  body: jsonValue("TemplateVersion", readDefinition),
  answers: {
    200: { description: "The latest version is the same.", content: json("StoredTemplate") },
    201: { description: "The new version.", content: json("StoredTemplate"), headers: location },
  },
  problems: [
    ...definitionProblems,
    ...(["template-not-found", "template-archived", "template-built-in", "too-many-templates"] as const),
  ],
  handler: async ({ id: name, absent, body, principal, baseUrl }, parts: Parts) => {
    if (isBuiltInTemplate(name)) throw builtIn(name);
    const tenantId = principal.tenant.id;
    // A template that is not there is refused before its graph is judged.
    await findOne({ name }, { tenantId, absent, parts });
    return await save(body, { principal, baseUrl, parts }, (version) =>
      parts.templates.addVersion(tenantId, name, version, actorOf(principal)),
    );
  },
});

/** Judges and stores a version. */
async function save(
  { definition, text }: ReadTemplate,
  { principal, baseUrl, parts }: { principal: Principal; baseUrl: string; parts: Parts },
  store: (version: {
    description: string | null;
    definition: string;
    uploadIds: string[];
  }) => Promise<TemplateSaved>,
): Promise<
  | { status: 201; location: string; json: AnswerOf<"StoredTemplate"> }
  | { status: 200; json: AnswerOf<"StoredTemplate"> }
> {
  const { warnings, notChecked, uploadIds } = await parts.templateJudge.judge(definition, principal);
  const description = definition.description ?? null;
  const saved = await store({ description, definition: text, uploadIds });
  switch (saved.outcome) {
    case "added":
    case "same": {
      const detail = detailOfTemplate(saved.template, await choicesNow(parts), baseUrl);
      const answer = { ...detail, warnings, notChecked };
      const { version = "" } = detail.links;
      return saved.outcome === "added"
        ? { status: 201, location: version, json: answer }
        : { status: 200, json: answer };
    }
    case "taken":
      throw new RefusedError(
        "template-name-taken",
        "There is a template of this name; PUT adds a version to it.",
      );
    case "absent":
      throw new RefusedError("template-archived", "The template was archived meanwhile.");
    case "too-many":
      throw new RefusedError(
        "too-many-templates",
        "A tenant may have 1,000 templates, archived ones included, and a template 1,000 versions.",
      );
    case "too-large":
      throw new RefusedError(
        "too-many-templates",
        "All versions of a tenant's templates, archived ones included, may have 256 MiB together.",
      );
  }
}

const templatesQuerySchema = z.strictObject({
  text: storableText(200)
    .optional()
    .describe("Found anywhere in the name or the description, ignoring case."),
  archived: z.enum(["true", "false"]).default("false").describe("Whether archived ones are listed, too."),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: storableText(64).optional().describe("`nextCursor` of the previous page."),
});

export const listTemplates = route({
  id: "listTemplates",
  tag: "templates",
  method: "GET",
  path: "templates",
  access: "read",
  summary: "The templates, by name",
  description: "The built-in ones come first, on the first page.",
  query: templatesQuerySchema,
  answers: { 200: { description: "A page of them.", content: json("TemplatePage") } },
  problems: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request"],
  handler: async ({ query, principal, baseUrl }, { templates }: Pick<Parts, "templates">) => {
    const { text, archived, limit, cursor } = query;
    const filter = { text, archived: archived === "true", limit, cursor };
    const { items, nextCursor } = await templates.listTemplates(principal.tenant.id, filter);
    const own = items.map((template) => viewOfTemplate(template, baseUrl));
    const builtIns = cursor === undefined ? builtInsWith(text, baseUrl) : [];
    return { json: { templates: [...builtIns, ...own], nextCursor } };
  },
});

function builtInsWith(text = "", baseUrl: string): AnswerOf<"Template">[] {
  const names = Object.keys(builtInTemplates).filter(isBuiltInTemplate);
  return names
    .map((name) => viewOfBuiltIn(name, baseUrl))
    .filter(({ name, description }) =>
      `${name}\n${description ?? ""}`.toLowerCase().includes(text.toLowerCase()),
    );
}

export const getTemplate = route({
  ...ofTemplate,
  id: "getTemplate",
  method: "GET",
  path: "templates/:name",
  summary: "The latest version of a template",
  answers: { 200: { description: "It.", content: json("TemplateDetail") } },
  problems: ["template-not-found", "template-archived"],
  handler: async ({ id: name, absent, principal, baseUrl }, parts: Parts) => {
    const now = await choicesNow(parts);
    if (isBuiltInTemplate(name)) return { json: detailOfBuiltIn(name, now, baseUrl) };
    const template = await findOne({ name }, { tenantId: principal.tenant.id, absent, parts });
    return { json: detailOfTemplate(template, now, baseUrl) };
  },
});

export const getTemplateVersion = route({
  ...ofTemplate,
  id: "getTemplateVersion",
  method: "GET",
  path: "templates/:name/versions/:version",
  summary: "One version of a template, also of an archived one",
  answers: { 200: { description: "It.", content: json("TemplateDetail") } },
  problems: ["template-not-found"],
  handler: async ({ id: name, absent, principal, baseUrl, request }, parts: Parts) => {
    const given = request.params["version"];
    const version = typeof given === "string" && /^[1-9]\d{0,8}$/.test(given) ? Number(given) : 0;
    const now = await choicesNow(parts);
    if (isBuiltInTemplate(name)) {
      if (version !== 1) throw absent();
      return { json: detailOfBuiltIn(name, now, baseUrl) };
    }
    const [template] = await parts.templates.findTemplates(principal.tenant.id, [{ name, version }]);
    if (template === undefined) throw absent();
    return { json: detailOfTemplate(template, now, baseUrl) };
  },
});

export const archiveTemplate = route({
  ...ofTemplate,
  id: "archiveTemplate",
  method: "DELETE",
  path: "templates/:name",
  access: "submit",
  summary: "Archive a template",
  description:
    "It takes no new jobs and is not listed any more. Its versions can be read, since jobs name them; a new template of the " +
    "name goes on counting them.",
  answers: { 204: { description: "It is archived." } },
  problems: ["template-not-found", "template-built-in"],
  handler: async ({ id: name, absent, principal }, { templates }: Pick<Parts, "templates">) => {
    if (isBuiltInTemplate(name)) throw builtIn(name);
    if (!(await templates.archiveTemplate(principal.tenant.id, name, actorOf(principal)))) throw absent();
    return {};
  },
});

export const suggestTemplate = route({
  id: "suggestTemplate",
  tag: "templates",
  method: "POST",
  path: "templates/suggest",
  access: "submit",
  summary: "Suggest parameters for a graph",
  description:
    "Prompts, seeds, sizes, steps, models, images: by the types that inputs have in the servers' definitions, or by their usual " +
    "names where no known server has the class. Nothing is stored.",
  body: jsonValue("Graph", (body) => {
    readObject(
      isObject(body) ? { ...body, workflow: isObject(body["workflow"]) ? {} : body["workflow"] } : body,
      graphSchema,
    );
    return readGraph(isObject(body) ? body["workflow"] : undefined);
  }),
  answers: { 200: { description: "What a template might have.", content: json("SuggestedTemplate") } },
  problems: ["missing-field", "invalid-request", "invalid-graph", "editor-format"],
  handler: async ({ body: workflow }, { servers }: Pick<Parts, "servers">) => {
    const known = new Map((await servers.list()).map((each) => [each.definitionsHash, each.objectInfo]));
    const { parameters, unknownClasses } = suggestParameters(workflow, [...known.values()]);
    const classes = new Set(Object.values(workflow).map(({ class_type: classType }) => classType));
    const basis =
      unknownClasses.length === 0
        ? "definitions"
        : unknownClasses.length < classes.size
          ? "both"
          : "usual-names";
    return {
      json: { parameters, basis, unknownClasses: unknownClasses.slice(0, 100), warnings: warningsOf(basis) },
    } as const;
  },
});

function warningsOf(basis: "definitions" | "both" | "usual-names"): string[] {
  if (basis === "definitions") return [];
  const which = basis === "both" ? "some of the classes" : "the classes of this graph";
  return [
    `No known server has ${which}: their parameters are suggested by the usual names of inputs, without bounds.`,
  ];
}

function builtIn(name: BuiltInTemplateName): RefusedError {
  return new RefusedError("template-built-in", `The template ${name} is built in and cannot be changed.`);
}

async function choicesNow({ servers, models }: Pick<Parts, "servers" | "models">): Promise<ChoicesNow> {
  const [list, catalogue] = await Promise.all([servers.list(), models.catalogue()]);
  return { servers: list, catalogue };
}

/** @throws RefusedError when it is not there, or is archived */
async function findOne(
  { name }: { name: string },
  { tenantId, absent, parts }: { tenantId: string; absent: () => Error; parts: Pick<Parts, "templates"> },
): Promise<StoredTemplate> {
  const [template] = await parts.templates.findTemplates(tenantId, [{ name }]);
  if (template === undefined) throw absent();
  if (template.archivedAt === null) return template;
  throw new RefusedError(
    "template-archived",
    `The template ${name} was archived; its versions can be read as templates/${name}/versions/${template.latestVersion}.`,
  );
}
