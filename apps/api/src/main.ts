import { runService } from "@genga/runtime";
import { startApi } from "./start-api.ts";

runService("api", async ({ configuration, log, signal }) => {
  const api = await startApi(configuration, log, { signal });
  const door = api.doorUrl === null ? {} : { doorUrl: api.doorUrl };
  return { details: { url: api.url, ...door }, stop: () => api.stop() };
});
