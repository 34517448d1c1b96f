import { type NodeText, type Preview } from "../wire/binary-frames.ts";
import { type ComfyUIError } from "../wire/errors.ts";
import { type PromptMessage } from "../wire/messages.ts";
import { type Progress } from "./progress.ts";
import { type SettledLookup } from "../wire/prompt-lookup.ts";

/** An event of `ComfyUIConnector.watch`. `settled` comes exactly once, as the last event. */
export type WatchEvent =
  /**
   * Every message about the prompt. Of two unread messages of type `progress` or `progress_state`, only the newer is
   * kept.
   */
  | { type: "message"; message: PromptMessage }
  /** The progress after such messages; of several unread ones only the newest is kept. */
  | { type: "progress"; progress: Progress }
  /** The newest unread preview picture. */
  | { type: "preview"; preview: Preview }
  | { type: "text"; nodeText: NodeText }
  /** The server stopped answering. The watch continues by itself. */
  | { type: "unreachable"; error: ComfyUIError }
  | { type: "reachable" }
  | { type: "settled"; lookup: SettledLookup };
