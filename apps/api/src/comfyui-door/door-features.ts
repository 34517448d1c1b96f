import { fileBytesMax } from "../uploads/upload-limits.ts";

/** What the door can do, as it tells over HTTP and over its WebSocket. */
export const doorFeatures = { supports_preview_metadata: true, max_upload_size: fileBytesMax };
