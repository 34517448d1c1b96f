import { type Page } from "./job-reader.ts";
import { type Actor } from "./audit-store.ts";

/** A version of a template, as it is stored. It never changes. */
export interface StoredTemplate {
  name: string;
  version: number;
  latestVersion: number;
  description: string | null;
  /** JSON text, in which numbers are as they were written. */
  definition: string;
  /** The name of the key that stored this version. */
  createdBy: string;
  /** When this version was stored. */
  createdAt: Date;
  /** An archived template takes no new jobs. */
  archivedAt: Date | null;
}

/** Which version of a template is wanted; without a version the latest. */
export interface TemplateReference {
  name: string;
  version?: number | undefined;
}

export interface NewTemplateVersion {
  description: string | null;
  definition: string;
  /** The tenant's uploads that it names. */
  uploadIds: readonly string[];
}

/**
 * - `same`: the latest version is the same already, and none was added
 * - `too-many`: the tenant has as many templates, or the template as many versions, as it may have
 * - `too-large`: the definitions of all versions of the tenant's templates would be larger than they may be together
 */
export type TemplateSaved =
  | { outcome: "added" | "same"; template: StoredTemplate }
  | { outcome: "taken" | "absent" | "too-many" | "too-large" };

/**
 * The most templates of a tenant, archived ones too, the most versions of one, and the most bytes of the definitions of
 * them all.
 */
export const templatesMax = { ofTenant: 1_000, versions: 1_000, bytes: 256 * 1024 * 1024 } as const;

/** Templates of one tenant at a time. Every method throws `StoreUnavailableError` when the database cannot be reached. */
export interface TemplateStore extends TemplateFinder {
  /** Stores the first version, or the next one of an archived template of this name, which is not archived any more. */
  addTemplate(tenantId: string, name: string, version: NewTemplateVersion, by: Actor): Promise<TemplateSaved>;
  /** Adds a version to a template that is not archived. */
  addVersion(tenantId: string, name: string, version: NewTemplateVersion, by: Actor): Promise<TemplateSaved>;
  /** @returns false if there is no such template. One that was archived before stays so. */
  archiveTemplate(tenantId: string, name: string, by: Actor): Promise<boolean>;
  /** The latest versions, by name. */
  listTemplates(
    tenantId: string,
    filter: { text?: string | undefined; archived: boolean; limit: number; cursor?: string | undefined },
  ): Promise<Page<Omit<StoredTemplate, "definition">>>;
}

export interface TemplateFinder {
  /** Those of the versions that are there, archived ones too; one statement for any number of them. */
  findTemplates(tenantId: string, wanted: readonly TemplateReference[]): Promise<StoredTemplate[]>;
}
