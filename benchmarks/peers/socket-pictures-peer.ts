import { type Workflow } from "@genga/comfyui";
import { WebSocket, type RawData } from "ws";
import { z } from "zod";
import { runAll, type PeerResult } from "./peer-result.ts";

const atOnceMax = 10;
const messageSchema = z.object({
  type: z.string(),
  data: z.object({ prompt_id: z.string().optional(), node: z.string().nullable().optional() }),
});

/**
 * Runs graphs that end in SaveImageWebsocket by a client like ComfyUI's own example (websockets_api_example_ws_images.py): it takes
 * binary messages for pictures of the node that was named last, until no node runs any more. It does not connect again.
 */
export async function runSocketPictures(
  comfyUrl: string,
  graphs: readonly Workflow[],
  deadlineMs: number,
): Promise<PeerResult> {
  let waiting = Promise.resolve();
  const running = new Set<Promise<void>>();
  return await runAll(graphs, deadlineMs, async (graph) => {
    const turn = waiting.then(async () => {
      while (running.size >= atOnceMax) await Promise.race(running);
    });
    waiting = turn;
    await turn;
    const run = runOne(comfyUrl, graph, deadlineMs);
    const settled: Promise<void> = run.then(
      () => undefined,
      () => undefined,
    );
    running.add(settled);
    void settled.then(() => running.delete(settled));
    await run;
  });
}

async function runOne(comfyUrl: string, graph: Workflow, deadlineMs: number): Promise<void> {
  const clientId = crypto.randomUUID();
  const pictureNode = Object.keys(graph).find((id) => graph[id]?.class_type === "SaveImageWebsocket");
  const socket = new WebSocket(`${comfyUrl.replace("http", "ws")}/ws?clientId=${clientId}`);
  try {
    await opened(socket);
    const answer = await fetch(`${comfyUrl}/prompt`, {
      method: "POST",
      body: JSON.stringify({ prompt: graph, client_id: clientId }),
    });
    const { prompt_id: promptId } = z.object({ prompt_id: z.string() }).parse(await answer.json());
    const pictures = await picturesOf(socket, promptId, pictureNode, deadlineMs);
    if (pictures === 0) throw new Error("no picture");
  } finally {
    socket.terminate();
  }
}

async function opened(socket: WebSocket): Promise<void> {
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
}

async function picturesOf(
  socket: WebSocket,
  promptId: string,
  pictureNode: string | undefined,
  deadlineMs: number,
): Promise<number> {
  let [pictures, node]: [number, string | null | undefined] = [0, undefined];
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error("not done in time"));
    }, deadlineMs);
    socket.on("close", () => {
      clearTimeout(timer);
      reject(new Error("the connection broke"));
    });
    socket.on("message", (data: RawData, isBinary: boolean) => {
      if (isBinary) {
        if (node === pictureNode) pictures += 1;
        return;
      }
      // Without a binary type, ws gives a message as one buffer.
      const message = messageSchema.safeParse(JSON.parse((data as Buffer).toString("utf8"))).data;
      if (message?.type !== "executing" || message.data.prompt_id !== promptId) return;
      ({ node } = message.data);
      if (node !== null) return;
      clearTimeout(timer);
      resolve(pictures);
    });
  });
}
