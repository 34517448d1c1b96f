// The door for the thread that reads definitions: what it runs, without the generator of graphs and their judge.
export { serveDefinitions } from "./definitions/serve-definitions.ts";
