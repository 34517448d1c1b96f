import { stringifyExactJson } from "@genga/comfyui";
import { type Database } from "@genga/database";
import {
  JobManager,
  openSecretBox,
  type OutputStorage,
  type Principal,
  type Signals,
  type TicketQueue,
} from "@genga/jobs";
import { type Logger, type ServiceConfiguration } from "@genga/runtime";
import {
  createWorkflowResolver,
  type DefinitionsStore,
  type WorkflowResolverOptions,
} from "@genga/workflows";
import { type PromptParts } from "../comfyui-door/accept-prompt.ts";
import { KnownServers } from "../servers/known-servers.ts";
import { JobCommands } from "../submissions/job-commands.ts";
import { TemplateJudge } from "../templates/judge-template.ts";
import { openNewWebhooks } from "../webhooks/new-webhooks.ts";

/** What accepts and changes jobs. The main thread of the API has it once, and so has the thread for large submissions. */
export interface AcceptingParts {
  servers: KnownServers;
  manager: JobManager;
  jobCommands: (principal: Principal, traceparent?: string) => JobCommands;
  templateJudge: TemplateJudge;
  /** For prompts in ComfyUI's protocol. */
  prompts: PromptParts;
}

export function createAcceptingParts(
  settings: ServiceConfiguration,
  parts: {
    database: Database;
    definitions: Pick<DefinitionsStore, "find">;
    tickets: TicketQueue;
    signals: Signals;
    storage: OutputStorage;
    defaultTenantId: string;
    logger: Logger;
  } & Pick<WorkflowResolverOptions, "onNotChecked">,
  options: {
    /** Names this thread in its requests to the workers. */
    name: string;
    /** How old an answer about servers may be. */
    serversMaxAgeMs: number;
  },
): AcceptingParts {
  const { database, definitions, tickets, signals, storage, defaultTenantId, logger, onNotChecked } = parts;
  const { leaseMs, serverRetireMs: retireMs, nodeClasses, jobTimeoutsMs, secretsKeys } = settings;
  const {
    jobReader: jobs,
    jobRequests: requests,
    jobAnnouncer: announcer,
    templates,
    uploads,
    assets,
  } = database;
  const servers = new KnownServers({
    ...{
      servers: database.servers,
      serverSources: database.serverSources,
      upkeep: database.serverUpkeep,
      pauses: database.farm,
      keeping: database.keeping,
      definitions,
      signals,
    },
    ...{ maxAgeMs: options.serversMaxAgeMs, leaseMs, retireMs, name: options.name },
  });
  const resolver = createWorkflowResolver({
    definitions: () => servers.list(),
    refresh: () => servers.refresh(),
    ...{ uploads, nodeClasses },
    ...(onNotChecked !== undefined && { onNotChecked }),
  });
  const serverless = createWorkflowResolver({
    definitions: () => Promise.resolve([]),
    ...{ uploads, nodeClasses },
  });
  const newWebhooks = openNewWebhooks(settings);
  const manager = new JobManager({
    ...{ reader: jobs, requests, announcer, tickets, signals, resolver, storage, defaultTenantId, logger },
    timeoutMsByType: jobTimeoutsMs,
    secretBox: openSecretBox(secretsKeys),
    newWebhook: (given, id) => newWebhooks.ofSubmission(given, id),
    writeJson: stringifyExactJson,
  });
  return {
    ...{ servers, manager },
    prompts: {
      ...{ prompts: database.doorPrompts, files: database.doorFiles, uploads, jobs },
      servers,
    },
    templateJudge: new TemplateJudge({ resolver, serverless, uploads }),
    jobCommands: (principal, traceparent) =>
      new JobCommands({ manager, jobs, resolver, templates, uploads, assets }, principal, traceparent),
  };
}
