/** Prints the OpenAPI document as an API with keys serves it. Nothing is started. */
import { routes } from "./routes/table.ts";
import { describeApi } from "./documentation/openapi.ts";

process.stdout.write(JSON.stringify(describeApi(routes, { needsKey: true })));
