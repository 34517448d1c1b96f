// The door for the thread that reads definitions: what parsing needs, without the connector and its libraries.
export { type ReadDefinitions } from "./definitions/packed-definitions.ts";
export { packDefinitions, readAnswers, readStored } from "./definitions/packed-definitions.ts";
