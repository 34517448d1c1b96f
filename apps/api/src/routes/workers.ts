import { noServerId } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";

/** The live worker processes, and the servers that each owns. */
export const listWorkers = route({
  id: "listWorkers",
  tag: "farm",
  method: "GET",
  path: "workers",
  access: "operate",
  summary: "The live worker processes",
  answers: { 200: { description: "All of them.", content: json("Workers") } },
  handler: async (_asked, { servers }: Pick<ApiDependencies, "servers">) => {
    const { workers } = await servers.farm();
    const views = workers.map((worker) => ({
      id: worker.id,
      startedAt: worker.startedAt.toISOString(),
      healthUrl: worker.statusUrl === null ? null : `${worker.statusUrl}/health`,
      lastSeenAt: worker.lastSeenAt.toISOString(),
      serversNamed: worker.serverIds.filter((id) => id !== noServerId),
      serversOwned: worker.serversOwned,
      jobsHeld: worker.jobsHeld,
      serversProblem: worker.serversProblem,
    }));
    return { json: { workers: views } };
  },
});
