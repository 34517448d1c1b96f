export { imageParametersSchema, seedMax, type ImageParameters } from "./parameters/image-parameters.ts";
export {
  framesOf,
  videoFormats,
  videoParametersSchema,
  videoWriters,
  type VideoFormat,
  type VideoParameters,
  type VideoWriter,
} from "./parameters/video-parameters.ts";
export {
  nativeFamilies,
  videoFamilies,
  type NativeFamily,
  type VideoFamily,
} from "./parameters/video-families.ts";
export { workflowParametersSchema } from "./judging/submission.ts";
export { parseImageParameters, parseVideoParameters } from "./parameters/job-parameters.ts";
export { findMisplacedGraph } from "./judging/misplaced-graph.ts";
export { outputOptionsOf, type OutputOptions } from "./parameters/output-options.ts";
export { problemsOfJson } from "./parameters/json-limits.ts";
export { problemsOf, shorten } from "./parameters/parameter-problems.ts";
export { WorkflowGenerator } from "./building/workflow-generator.ts";
export { type NodeClassRules } from "./judging/node-class-rules.ts";
export { socketClasses } from "./judging/socket-classes.ts";
export { isTemporaryNode } from "./judging/temporary-outputs.ts";
export { createWorkflowResolver, type WorkflowResolverOptions } from "./judging/workflow-resolver.ts";
export { lackOf, meets, missingLabels, type ServerLack } from "./judging/server-lack.ts";
export { type KnownServer } from "./judging/judge-submission.ts";
export {
  DefinitionsThread,
  type DefinitionsAnswers,
  type DefinitionsStore,
  type HashedDefinitions,
} from "./definitions/definitions-thread.ts";
export { findDefinitions } from "./definitions/find-definitions.ts";
export { Turns } from "./uploads/turns.ts";
export { withOutputsShownInText } from "./uploads/output-stand-ins.ts";
export { runKindOf } from "./judging/run-kind.ts";
export {
  parseDefinition,
  readDefinition,
  templateDefinitionFields,
  templateNamePattern,
  type TemplateDefinition,
} from "./templates/template-definition.ts";
export { templateParameterSchema, type TemplateParameter } from "./templates/template-parameter.ts";
export { valuesAfterChanges } from "./templates/changed-values.ts";
export { defaultUploadsOf, fillTemplate, parametersOfType } from "./templates/fill-template.ts";
export { suggestParameters } from "./templates/suggest-parameters.ts";
export {
  builtInTemplates,
  isBuiltInTemplate,
  reservedTemplateNames,
  type BuiltInParameter,
  type BuiltInTemplateName,
} from "./templates/built-in-templates.ts";
export { readGraph } from "./templates/read-graph.ts";
