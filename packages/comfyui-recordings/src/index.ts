export {
  objectInfo,
  objectInfoNames,
  transcript,
  transcriptNames,
  workflow,
  workflowNames,
  type RecordedVersion,
} from "./recordings.ts";
