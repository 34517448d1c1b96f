import type * as Jest from "@jest/globals";
import {
  type JobAnnouncer,
  type JobReader,
  type JobRequests,
  type JobRuns,
  type ServerStore,
  type TenantStore,
} from "@genga/jobs";

/** Handed in rather than imported: benchmarks use this package too, and Jest's own module only loads inside Jest. */
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
