// The entry point for the thread that reads definitions. It exports the code that the thread runs, without graph
// building and graph validation.
export { serveDefinitions } from "./definitions/serve-definitions.ts";
