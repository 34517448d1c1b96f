-- Which processes may use this database: those whose code version is at least this. Migrations only add, so that older
-- processes go on beside newer ones; the rare one that they cannot live with raises the number.
CREATE TABLE "schema_support" (
    "is_schema" BOOLEAN NOT NULL DEFAULT true,
    "lowest_code_version" INTEGER NOT NULL,

    CONSTRAINT "schema_support_pkey" PRIMARY KEY ("is_schema"),
    CONSTRAINT "schema_support_only_one" CHECK ("is_schema")
);

INSERT INTO "schema_support" ("lowest_code_version") VALUES (1);

-- Where a worker tells how it is.
ALTER TABLE "workers" ADD COLUMN "status_url" TEXT;
