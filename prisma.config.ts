import { defineConfig } from "prisma/config";

/** Read by Prisma's command line only; the services apply migrations themselves (`packages/database`). */
export default defineConfig({
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  datasource: { url: process.env["DATABASE_URL"] ?? "" },
});
