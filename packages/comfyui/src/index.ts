export { type BinaryFrame, type NodeText, type Preview } from "./wire/binary-frames.ts";
export {
  isPicture,
  parseBinaryFrame,
  previewFrame,
  previewParts,
  previewWithMetadataFrame,
  textFrame,
} from "./wire/binary-frames.ts";
export { type CancelOutcome } from "./wire/cancel.ts";
export {
  type ComfyUIConnectorOptions,
  type ConnectorLogger,
  type SubmitRequest,
  type Submitted,
  type WatchOptions,
} from "./comfyui-connector.ts";
export { ComfyUIConnector } from "./comfyui-connector.ts";
export { type ComfyUIErrorCode, type ErrorClass, type NodeError, type Retry } from "./wire/errors.ts";
export { ComfyUIError } from "./wire/errors.ts";
export {
  ExactNumber,
  numberOf,
  parseExactJson,
  parsePythonJson,
  roundNumbers,
  stringifyExactJson,
  toClientJson,
  toClientJsonText,
} from "./json/exact-json.ts";
export { isObject } from "./json/is-object.ts";
export { liveInputsOf } from "./classes/dynamic-inputs.ts";
export { isTruthyInPython, toPythonFloat, toPythonInt, toPythonText } from "./graph/python-values.ts";
export { rawElements, rawMembers, rewriteStrings } from "./json/raw-json.ts";
export { classifyExecutionError, warningOf } from "./wire/execution-errors.ts";
export { howToExport, looksLikeEditorFormat, looksLikeGraph } from "./graph/graph-formats.ts";
export { graphNodesMax } from "./graph/graph-shape.ts";
export { type GraphNeeds, type NeededModel } from "./definitions/graph-needs.ts";
export { choicesOf, missingFrom, needsOf } from "./definitions/graph-needs.ts";
export { type ListedModel, type ServerNeeds } from "./definitions/server-needs.ts";
export { mainModelOf } from "./definitions/main-model.ts";
export { serverNeedsOf } from "./definitions/server-needs.ts";
export {
  type GraphProblem,
  type GraphProblemCode,
  type GraphValidation,
  type NotChecked,
} from "./graph/graph-problem.ts";
export { type ValidateGraphOptions } from "./checking/graph-validation.ts";
export { validateGraph } from "./checking/graph-validation.ts";
export { isForeseen, noticedByServer } from "./definitions/server-notice.ts";
export { type RepeatedName } from "./json/repeated-names.ts";
export { findRepeatedName } from "./json/repeated-names.ts";
export { wrapLists } from "./definitions/list-values.ts";
export { type CallOptions, type Download } from "./wire/http-client.ts";
export { basicAuthorization, type ServerAccess } from "./wire/server-access.ts";
export { type PromptMessage, type ServerMessage } from "./wire/messages.ts";
export { parseMessage } from "./wire/messages.ts";
export { framesMaxOfModule, framesMaxUsually } from "./classes/motion-modules.ts";
export { type ModelKind } from "./classes/model-lists.ts";
export { listedModels, modelKindOf, modelKinds } from "./classes/model-lists.ts";
export {
  type InputMapping,
  type NodeReplacement,
  type NodeReplacements,
  type OutputMapping,
  type ReplacedGraph,
} from "./definitions/node-replacements.ts";
export { nodeReplacementsSchema, replacementOf, replaceNodes } from "./definitions/node-replacements.ts";
export {
  type FileKind,
  type InputSpec,
  type NodeDefinition,
  type ObjectInfo,
} from "./classes/object-info.ts";
export { withoutFileLists } from "./classes/file-lists.ts";
export { fileKindOf, isUploadInput, listOf, objectInfoSchema, specOf } from "./classes/object-info.ts";
export {
  type FileReference,
  type OutputReference,
  type PromptOutputs,
  type TextReference,
} from "./wire/outputs.ts";
export { collectOutputs } from "./wire/outputs.ts";
export { type Progress, type ProgressPhase, type ProgressState } from "./watching/progress.ts";
export { initialProgress, markSubmitted, passTime, reduceProgress, weighNodes } from "./watching/progress.ts";
export { type MeasuredNode } from "./watching/node-weights.ts";
export { type PromptRelay } from "./watching/prompt-relay.ts";
export {
  type HistoryEntry,
  type PromptLookup,
  type QueuedPrompt,
  type ServerQueue,
  type SettledLookup,
} from "./wire/prompt-lookup.ts";
export { errorOfSettled, isSettled } from "./wire/prompt-lookup.ts";
export { type ConnectorCounters } from "./watching/connector-counters.ts";
export {
  type ServerAbilities,
  type StreamedUpload,
  type SystemStats,
  type Upload,
  type UploadedImage,
} from "./wire/server-api.ts";
export { type ServerDefinitions } from "./definitions/server-definitions.ts";
export { canRun, takes, parseDefinitions } from "./definitions/server-definitions.ts";
export { uncountedName, type UncountedName } from "./definitions/server-names.ts";
export { cacheInput, isFilenamePrefix, prepareForSubmission } from "./definitions/submission.ts";
export { type PackedDefinitions } from "./definitions/packed-definitions.ts";
export { unpackDefinitions } from "./definitions/packed-definitions.ts";
export { type WatchEvent } from "./watching/watch-event.ts";
export { type Link, type Workflow, type WorkflowNode } from "./graph/workflow.ts";
export { type WorkflowShape } from "./graph/workflow-shape.ts";
export { stepsOf, workflowShape } from "./graph/workflow-shape.ts";
export { linkOf, nodeTitleOf, parseWorkflow, workflowSchema } from "./graph/workflow.ts";
