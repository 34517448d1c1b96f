// The entry point for the thread that reads definitions. It exports what parsing needs, without the connector and its
// libraries.
export { type ReadDefinitions } from "./definitions/packed-definitions.ts";
export { packDefinitions, readAnswers, readStored } from "./definitions/packed-definitions.ts";
