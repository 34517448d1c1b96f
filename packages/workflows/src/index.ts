export { imageParametersSchema, seedMax, type ImageParameters } from "./image-parameters.ts";
export {
  framesOf,
  videoFormats,
  videoParametersSchema,
  videoWriters,
  type VideoFormat,
  type VideoParameters,
  type VideoWriter,
} from "./video-parameters.ts";
export { nativeFamilies, videoFamilies, type NativeFamily, type VideoFamily } from "./video-families.ts";
export { workflowParametersSchema } from "./submission.ts";
export { parseImageParameters, parseVideoParameters } from "./job-parameters.ts";
export { findMisplacedGraph } from "./misplaced-graph.ts";
export { outputOptionsOf, type OutputOptions } from "./output-options.ts";
export { problemsOf } from "./parameter-problems.ts";
export { unstorable } from "./json-limits.ts";
export { WorkflowGenerator } from "./workflow-generator.ts";
export { type NodeClassRules } from "./node-class-rules.ts";
export { createWorkflowResolver, type WorkflowResolverOptions } from "./workflow-resolver.ts";
export { type KnownServer } from "./judge-submission.ts";
export { DefinitionsThread, type DefinitionsStore, type HashedDefinitions } from "./definitions-thread.ts";
