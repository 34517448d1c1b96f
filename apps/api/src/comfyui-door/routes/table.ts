import { type DoorRoute } from "../door-route.ts";
import { uploadImage, uploadMask, view } from "./files.ts";
import { getHistory, getHistoryOfPrompt, postHistory } from "./history.ts";
import {
  getEmbeddings,
  getExtensions,
  getFeatures,
  getModels,
  getModelsOfFolder,
  getNodeReplacements,
  getObjectInfo,
  getObjectInfoOfClass,
  getSystemStats,
  postFree,
} from "./information.ts";
import { cancelJob, cancelJobs, getJob, listJobs } from "./jobs.ts";
import { getPrompt, getQueue, postInterrupt, postPrompt, postQueue } from "./prompts.ts";
import { getWelcome } from "./welcome.ts";

/** All routes of ComfyUI's protocol. */
export const doorRoutes: readonly DoorRoute[] = [
  ...[postPrompt, getPrompt, getQueue, postQueue, postInterrupt, postFree],
  ...[getHistory, getHistoryOfPrompt, postHistory],
  ...[listJobs, cancelJobs, getJob, cancelJob],
  ...[view, uploadImage, uploadMask],
  ...[getObjectInfo, getObjectInfoOfClass, getNodeReplacements, getModels, getModelsOfFolder, getEmbeddings],
  ...[getExtensions, getSystemStats, getFeatures, getWelcome],
];
