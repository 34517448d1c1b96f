import { changingOperations } from "./changing-operations.ts";
import { keyOperations } from "./key-operations.ts";
import { lookingOperations } from "./looking-operations.ts";
import { type Operation } from "./operation.ts";
import { operatingOperations } from "./operating-operations.ts";
import { submittingOperations } from "./submitting-operations.ts";

/** Everything that the API can do, in the order of a job's life. A test holds it to `access-table.ts`, both ways. */
export const operations: readonly Operation[] = [
  ...submittingOperations,
  ...lookingOperations,
  ...changingOperations,
  ...keyOperations,
  ...operatingOperations,
];
