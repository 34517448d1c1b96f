import type * as Jest from "@jest/globals";
import {
  type JobAnnouncer,
  type JobReader,
  type JobRequests,
  type JobRuns,
  type ServerStore,
  type TenantStore,
} from "@genga/jobs";

/** Passed in, not imported: benchmarks use this package, too, and Jest's module can only be imported inside of Jest. */
export type TestRunner = Pick<typeof Jest, "beforeAll" | "afterAll" | "describe" | "expect" | "test">;

/** One implementation of the ports, over one database. */
export interface ContractStores {
  jobReader: JobReader;
  jobRequests: JobRequests;
  jobAnnouncer: JobAnnouncer;
  jobRuns: JobRuns;
  servers: ServerStore;
  tenants: TenantStore;
  close(): Promise<void>;
}
