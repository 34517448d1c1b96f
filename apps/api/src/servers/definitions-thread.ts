import { type ServiceConfiguration } from "@genga/runtime";
import { DefinitionsThread } from "@genga/workflows";

/** The thread that reads the definitions of servers for this process. */
export function startDefinitionsThread({ databaseUrl }: ServiceConfiguration): DefinitionsThread {
  return new DefinitionsThread({ entry: new URL("./definitions-main.ts", import.meta.url), databaseUrl });
}
