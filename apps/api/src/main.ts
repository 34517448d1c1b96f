import { setFlagsFromString } from "node:v8";
import { runService } from "@genga/runtime";
import { startApi } from "./start-api.ts";

// V8 lets a heap grow up to four times what is alive before it collects: a zip of 70,000 files took 270 MB for garbage. How
// often it collects costs the API little, since it makes no jobs; a worker keeps V8's own choice.
setFlagsFromString("--heap-growing-percent=40");

runService("api", async ({ configuration, log, signal }) => {
  const api = await startApi(configuration, log, { signal });
  const door = api.doorUrl === null ? {} : { doorUrl: api.doorUrl };
  return { details: { url: api.url, ...door }, stop: () => api.stop() };
});
