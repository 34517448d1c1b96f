export type { BinaryFrame, NodeText, Preview } from "./binary-frames.ts";
export { parseBinaryFrame } from "./binary-frames.ts";
export type { CancelOutcome } from "./cancel.ts";
export type {
  ComfyUIConnectorOptions,
  ConnectorLogger,
  SubmitRequest,
  Submitted,
  WatchOptions,
} from "./comfyui-connector.ts";
export { ComfyUIConnector } from "./comfyui-connector.ts";
export type { ComfyUIErrorCode, ErrorClass, NodeError, Retry } from "./errors.ts";
export { ComfyUIError } from "./errors.ts";
export {
  ExactNumber,
  numberOf,
  parseExactJson,
  parsePythonJson,
  roundNumbers,
  stringifyExactJson,
  toClientJson,
  toClientJsonText,
} from "./exact-json.ts";
export { classifyExecutionError, warningOf } from "./execution-errors.ts";
export { howToExport, looksLikeEditorFormat, looksLikeGraph } from "./graph-formats.ts";
export type { GraphNeeds, NeededModel } from "./graph-needs.ts";
export { missingFrom, needsOf } from "./graph-needs.ts";
export type { GraphProblem, GraphProblemCode, GraphValidation, NotChecked } from "./graph-problem.ts";
export type { ValidateGraphOptions } from "./graph-validation.ts";
export { validateGraph } from "./graph-validation.ts";
export type { RepeatedName } from "./repeated-names.ts";
export { findRepeatedName } from "./repeated-names.ts";
export { wrapLists } from "./list-values.ts";
export type { CallOptions, Download } from "./http-client.ts";
export type { PromptMessage, ServerMessage } from "./messages.ts";
export { parseMessage } from "./messages.ts";
export { framesMaxOfModule, framesMaxUsually } from "./motion-modules.ts";
export type {
  InputMapping,
  NodeReplacement,
  NodeReplacements,
  OutputMapping,
  ReplacedGraph,
} from "./node-replacements.ts";
export { nodeReplacementsSchema, replacementOf, replaceNodes } from "./node-replacements.ts";
export type { InputSpec, NodeDefinition, ObjectInfo } from "./object-info.ts";
export { listOf, objectInfoSchema } from "./object-info.ts";
export type { FileReference, OutputReference, PromptOutputs, TextReference } from "./outputs.ts";
export { collectOutputs } from "./outputs.ts";
export type { Progress, ProgressPhase, ProgressState } from "./progress.ts";
export { markSubmitted, progressOf, reduceProgress } from "./progress.ts";
export type {
  HistoryEntry,
  PromptLookup,
  QueuedPrompt,
  ServerQueue,
  SettledLookup,
} from "./prompt-lookup.ts";
export { errorOfSettled, isSettled } from "./prompt-lookup.ts";
export type { ConnectorCounters } from "./prompt-watches.ts";
export type { ServerAbilities, SystemStats, Upload, UploadedImage } from "./server-api.ts";
export type { ServerDefinitions } from "./server-definitions.ts";
export { canRun, parseDefinitions } from "./server-definitions.ts";
export { isFilenamePrefix, prepareForSubmission } from "./submission.ts";
export type { PackedDefinitions } from "./packed-definitions.ts";
export { unpackDefinitions } from "./packed-definitions.ts";
export type { WatchEvent } from "./watch-event.ts";
export type { Link, Workflow, WorkflowNode } from "./workflow.ts";
export { linkOf, nodeTitleOf, parseWorkflow, workflowSchema } from "./workflow.ts";
