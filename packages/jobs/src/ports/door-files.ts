export const doorFileTypes = ["input", "output", "temp"] as const;
export type DoorFileType = (typeof doorFileTypes)[number];

/** How one server would address a file. */
export interface DoorFileName {
  type: DoorFileType;
  subfolder: string;
  name: string;
}

/** An output that needs a name. */
export interface UnnamedDoorFile {
  /** Which output of its job this is; the same in each attempt (`doorFileSource`). */
  source: string;
  type: DoorFileType;
  subfolder: string;
  /** What comes before the counter: `ComfyUI` of `ComfyUI_00001_.png`. */
  stem: string;
  /** What comes after the counter: `_.png`. */
  ending: string;
}

/** What stands behind a name. */
export type DoorFile =
  | {
      jobId: string;
      source: string;
      /** The job has all its outputs. */
      hasEnded: boolean;
    }
  | { uploadId: string };

/**
 * Names an output of a job: its node, the key under which the node returned it, and its place among the outputs (files and
 * texts) under that key.
 */
export function doorFileSource({
  nodeId,
  key,
  index,
}: {
  nodeId: string;
  key: string;
  index: number;
}): string {
  return JSON.stringify([nodeId, key, index]);
}

/**
 * Names of files within a tenant, as one server would give them. Every method throws `StoreUnavailableError` when the
 * database cannot be reached.
 */
export interface DoorFiles {
  /**
   * Gives names to outputs of a job, in the given order; each stem is counted on from its highest counter. An output that was named
   * before, perhaps in an earlier attempt, keeps its name. An unknown job gets no names.
   */
  nameOutputs(jobId: string, files: readonly UnnamedDoorFile[]): Promise<Map<string, DoorFileName>>;
  /** What stands behind a name. Several calls at the same time are one look; `null` = nothing of this tenant. */
  findFile(tenantId: string, name: DoorFileName): Promise<DoorFile | null>;
  /** What stands behind these names, in their order; `null` = nothing of this tenant. */
  findFiles(tenantId: string, names: readonly DoorFileName[]): Promise<(DoorFile | null)[]>;
  /**
   * Puts an upload under a name. If the name has another content, a new name is made (`name (1).png`), unless the name may be
   * taken over.
   * @returns the name that the file has
   */
  nameUpload(
    tenantId: string,
    wanted: DoorFileName,
    options: { uploadId: string; overwrite: boolean },
  ): Promise<DoorFileName>;
  /** The newest names of files in the tenant's input folder, sorted; at most 10,000. */
  listInputs(tenantId: string): Promise<{ subfolder: string; name: string; mediaType: string }[]>;
}
