import { type Workflow } from "@genga/comfyui";
import { z } from "zod";
import { runAll } from "./peer-result.ts";
import { type Contestant } from "./run-peers.ts";

const answerSchema = z.object({ images: z.array(z.string()).min(1) });

/**
 * Salad's comfyui-api, which answers a prompt with its pictures (base64) once they are made.
 * @param url where it runs, in front of the server of the comparison; without one it does not take part
 */
export function wrapperOf(url: string | undefined): Contestant[] {
  if (url === undefined || url === "") return [];
  return [
    {
      name: "Salad's comfyui-api",
      run: (_, graphs, deadlineMs) =>
        runAll(graphs.map(withoutFolders), deadlineMs, async (prompt) => {
          const response = await fetch(new URL("/prompt", url), {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ prompt }),
          });
          if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
          answerSchema.parse(await response.json());
        }),
    },
  ];
}

/** It finds only pictures that lie in the output folder itself, and answers without a picture otherwise. */
function withoutFolders(graph: Workflow): Workflow {
  const flat = Object.entries(graph).map(([id, node]) => {
    const prefix = node.inputs["filename_prefix"];
    if (typeof prefix !== "string") return [id, node] as const;
    return [
      id,
      { ...node, inputs: { ...node.inputs, filename_prefix: prefix.replaceAll("/", "-") } },
    ] as const;
  });
  return Object.fromEntries(flat);
}
