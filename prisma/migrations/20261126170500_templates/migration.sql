-- Stored graphs with typed parameters. A version never changes. An archived template takes no new jobs; its versions stay.
CREATE TABLE "templates" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "latest_version" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "archived_at" TIMESTAMPTZ(3),

    CONSTRAINT "templates_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "templates_tenant_id_name_key" ON "templates"("tenant_id", "name");

ALTER TABLE "templates" ADD CONSTRAINT "templates_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

CREATE TABLE "template_versions" (
    "template_id" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "description" TEXT,
    "definition" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" TEXT NOT NULL,

    CONSTRAINT "template_versions_pkey" PRIMARY KEY ("template_id","version")
);

ALTER TABLE "template_versions" ADD CONSTRAINT "template_versions_template_id_fkey" FOREIGN KEY ("template_id") REFERENCES "templates"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Uploads that a version names are not removed while its template is not archived.
CREATE TABLE "template_uploads" (
    "template_id" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "upload_id" UUID NOT NULL,

    CONSTRAINT "template_uploads_pkey" PRIMARY KEY ("template_id","version","upload_id")
);

CREATE INDEX "template_uploads_upload_id_idx" ON "template_uploads"("upload_id");

ALTER TABLE "template_uploads" ADD CONSTRAINT "template_uploads_template_id_version_fkey" FOREIGN KEY ("template_id", "version") REFERENCES "template_versions"("template_id", "version") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "template_uploads" ADD CONSTRAINT "template_uploads_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "uploads"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What a job was made of.
ALTER TABLE "jobs" ADD COLUMN "template_name" TEXT, ADD COLUMN "template_version" INTEGER;
ALTER TABLE "job_parameters" ADD COLUMN "template_values" JSONB;
