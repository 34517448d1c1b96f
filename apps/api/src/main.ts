import { runService } from "@genga/runtime";
import { startApi } from "./start-api.ts";

runService("api", async ({ configuration, log, signal }) => {
  const api = await startApi(configuration, log, { signal });
  return { details: { url: api.url }, stop: () => api.stop() };
});
