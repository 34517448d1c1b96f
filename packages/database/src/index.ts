export { openDatabase, type Database } from "./open-database.ts";
export { type ConnectionOptions } from "./connection/connection.ts";
export { defaultTenantId } from "./tenants/prisma-tenant-store.ts";
export { awaitSchema } from "./migrations/await-schema.ts";
export { migrate, MigrationError } from "./migrations/migrate.ts";
