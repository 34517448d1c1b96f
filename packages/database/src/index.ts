export { openDatabase, type Database } from "./open-database.ts";
export { type ConnectionOptions } from "./connection.ts";
export { defaultTenantId } from "./prisma-tenant-store.ts";
export { awaitSchema } from "./await-schema.ts";
export { migrate, MigrationError } from "./migrate.ts";
