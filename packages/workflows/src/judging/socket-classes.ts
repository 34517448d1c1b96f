/**
 * Output nodes that send their pictures to the client's socket, each as a binary message, and that the door for ComfyUI's clients runs as
 * `SaveImage` instead: all have their pictures in the input `images`. From the source of ComfyUI, comfyui-tooling-nodes 3.3.0 and
 * ComfyUI-EasyNode.
 */
export const socketClasses: ReadonlyMap<
  string,
  {
    /**
     * The node also returns a list of its pictures, without names, so that `executed` and the history show it. Such nodes send
     * pictures without metadata to every client.
     */
    isListed: boolean;
  }
> = new Map([
  ["SaveImageWebsocket", { isListed: false }],
  ["ETN_SendImageWebSocket", { isListed: true }],
  ["SendImageWebSocket", { isListed: true }],
]);

/**
 * Output nodes whose results are nowhere but in messages to the client's socket, or in the memory of one server, and that cannot be run
 * as another class. From the source of SwarmUI and comfyui-tooling-nodes 3.3.0.
 */
export const unkeptClasses: ReadonlySet<string> = new Set([
  "SwarmSaveImageWS",
  "SwarmSaveAnimationWS",
  "SwarmSaveAnimatedWebpWS",
  "SwarmSaveAudioWS",
  "SaveJpegWebsocket",
  "ETN_KritaOutput",
  "ETN_SaveImageCache",
]);
