import { type Route } from "../routing/route.ts";
import {
  assetFromHash,
  getComfyAsset,
  getComfyAssetContent,
  headAssetByHash,
  removeComfyAsset,
  uploadAsset,
} from "./comfy-assets.ts";
import {
  cancelComfyJob,
  getComfyJob,
  getComfyJobWorkflow,
  listComfyJobs,
  submitComfyJob,
} from "./comfy-jobs.ts";
import { watchComfyJob } from "./comfy-job-events.ts";

/** The routes of the Comfy API v2. Its own contract describes them, and not our OpenAPI document (docs/decisions/0027). */
export const comfyRoutes: readonly Route[] = [
  ...[uploadAsset, assetFromHash, headAssetByHash, getComfyAsset, removeComfyAsset, getComfyAssetContent],
  ...[submitComfyJob, listComfyJobs, getComfyJob, getComfyJobWorkflow, watchComfyJob, cancelComfyJob],
];
