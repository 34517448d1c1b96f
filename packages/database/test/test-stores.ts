import { migrate, openDatabase } from "@genga/database";
import {
  type DoorClients,
  type DoorFiles,
  type DoorPrompts,
  type EventReader,
  type EventSequencer,
  type KeepingStore,
  type GuessedLanes,
  type TakeBacks,
  type TemplateStore,
  type UploadStore,
  type WebhookQueue,
  type WebhookStore,
} from "@genga/jobs";
import { type ContractStores, createTestDatabase } from "@genga/testing";

/** The stores that the contract tests need, and the other ones. */
export type TestStores = ContractStores & {
  url: string;
  uploads: UploadStore;
  doorPrompts: DoorPrompts;
  doorClients: DoorClients;
  doorFiles: DoorFiles;
  templates: TemplateStore;
  keeping: KeepingStore;
  eventReader: EventReader;
  eventSequencer: EventSequencer;
  takeBacks: TakeBacks;
  guessedLanes: GuessedLanes;
  webhooks: WebhookStore;
  webhookQueue: WebhookQueue;
};

/** Opens stores with a database of their own; `close` removes the database. */
export async function openTestStores(options: { lanesMax?: number } = {}): Promise<TestStores> {
  const scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  const database = openDatabase({ databaseUrl: scratch.url, ...options });
  const { jobReader, jobRequests, jobAnnouncer, jobRuns, servers, tenants, uploads, keeping, templates } =
    database;
  const close = async (): Promise<void> => {
    await database.close();
    await scratch.drop();
  };
  const { doorPrompts, doorClients, doorFiles } = database;
  const { eventReader, eventSequencer, takeBacks, guessedLanes, webhooks, webhookQueue } = database;
  return {
    ...{ doorPrompts, doorClients, doorFiles },
    ...{
      eventReader,
      eventSequencer,
      jobReader,
      jobRequests,
      jobAnnouncer,
      jobRuns,
      servers,
      tenants,
      uploads,
      templates,
      keeping,
      takeBacks,
      guessedLanes,
      webhooks,
      webhookQueue,
    },
    ...{ url: scratch.url, close },
  };
}
