import { choicesOf, toClientJson, type Workflow } from "@genga/comfyui";
import { type StoredTemplate } from "@genga/jobs";
import {
  builtInTemplates,
  parseDefinition,
  type BuiltInParameter,
  type KnownServer,
  type TemplateParameter,
} from "@genga/workflows";
import { type z } from "zod";
import { prefix } from "../http/paths.ts";
import {
  type ParameterView,
  type templateDetailSchema,
  type templateViewSchema,
} from "../schemas/templates.ts";
import { type ModelCatalogue } from "../servers/model-catalogue.ts";

type TemplateView = z.infer<typeof templateViewSchema>;
type TemplateDetail = z.infer<typeof templateDetailSchema>;

const choicesMax = 1_000;

/** What servers have now, for parameters that leave their choices to them. */
export interface ChoicesNow {
  servers: readonly KnownServer[];
  catalogue: ModelCatalogue;
}

export function viewOfTemplate(template: Omit<StoredTemplate, "definition">, baseUrl: string): TemplateView {
  const { name, version, latestVersion, description, createdBy, createdAt, archivedAt } = template;
  return {
    ...{ name, version, latestVersion, isBuiltIn: false, description, createdBy },
    createdAt: createdAt.toISOString(),
    archivedAt: archivedAt?.toISOString() ?? null,
    links: linksOf(name, version, baseUrl),
  };
}

export function detailOfTemplate(template: StoredTemplate, now: ChoicesNow, baseUrl: string): TemplateDetail {
  const { workflow, parameters, keepPreviews, stripMetadata } = parseDefinition(template.definition);
  const views = Object.entries(parameters).map(
    ([name, parameter]) => [name, viewOfParameter(parameter, workflow, now.servers)] as const,
  );
  return {
    ...viewOfTemplate(template, baseUrl),
    parameters: Object.fromEntries(views),
    workflow: toClientJson(workflow) as Record<string, unknown>,
    ...(keepPreviews !== undefined && { keepPreviews }),
    ...(stripMetadata !== undefined && { stripMetadata }),
  };
}

export function viewOfBuiltIn(name: keyof typeof builtInTemplates, baseUrl: string): TemplateView {
  return {
    ...{
      name,
      version: 1,
      latestVersion: 1,
      isBuiltIn: true,
      createdAt: null,
      createdBy: null,
      archivedAt: null,
    },
    description: builtInTemplates[name].description,
    links: linksOf(name, 1, baseUrl),
  };
}

export function detailOfBuiltIn(
  name: keyof typeof builtInTemplates,
  { catalogue }: ChoicesNow,
  baseUrl: string,
): TemplateDetail {
  const views = Object.entries(builtInTemplates[name].parameters()).map(
    ([parameterName, parameter]) =>
      [parameterName, viewOfBuiltInParameter(parameterName, parameter, catalogue)] as const,
  );
  return { ...viewOfBuiltIn(name, baseUrl), parameters: Object.fromEntries(views), workflow: null };
}

function linksOf(name: string, version: number, baseUrl: string): Record<string, string> {
  const self = `${baseUrl}${prefix}/templates/${name}`;
  return { self, version: `${self}/versions/${version}`, jobs: `${baseUrl}${prefix}/jobs?template=${name}` };
}

function viewOfParameter(
  parameter: TemplateParameter,
  workflow: Workflow,
  servers: readonly KnownServer[],
): ParameterView {
  const isRequired =
    parameter.default === undefined && parameter.optional !== true && parameter.type !== "seed";
  const view: ParameterView = { ...parameter, isRequired };
  if (parameter.type !== "choice" && parameter.type !== "model") return view;
  if (parameter.choices !== undefined) return { ...view, choicesFrom: "template" };
  const [target] = parameter.targets;
  const node =
    target === undefined || !Object.hasOwn(workflow, target.node) ? undefined : workflow[target.node];
  if (target === undefined || node === undefined) return view;
  const catalogues = [...new Map(servers.map((server) => [server.definitionsHash, server])).values()];
  const choices = new Set(
    catalogues.flatMap(({ objectInfo }) => choicesOf(node, target.input, objectInfo) ?? []),
  );
  return { ...view, choicesFrom: "servers", choices: [...choices].slice(0, choicesMax) };
}

function viewOfBuiltInParameter(
  name: string,
  parameter: BuiltInParameter,
  { entries }: ModelCatalogue,
): ParameterView {
  const kind = parameter.kind ?? kindOfBuiltIn[name];
  if (parameter.choices !== undefined) return { ...parameter, choicesFrom: "template" };
  if (kind === undefined) return parameter;
  const choices = entries.flatMap((entry) => (entry.kind === kind ? [entry.name] : []));
  return { ...parameter, choicesFrom: "servers", choices: choices.slice(0, choicesMax) };
}
const kindOfBuiltIn: Partial<Record<string, string>> = { sampler: "samplers", scheduler: "schedulers" };
