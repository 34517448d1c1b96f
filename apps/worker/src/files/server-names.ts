import { cacheInput } from "@genga/comfyui";
import { type LeasedJob, readUploadName, TenantNames, uploadFolder } from "@genga/jobs";

/** The form of our names on a server: below our folder, a folder and a file (or what a file's name begins with). */
const ownName = /genga[\\/]+[0-9a-f]{32}[\\/]+([0-9a-f]{32})(-|\.(?:png|jpg|webp))/g;
const ownFolder = /^genga[\\/][0-9a-f]{32}$/;
const ownBeginning = /^[0-9a-f]{32}-/;
/** In the graph that a server writes into a file. */
const ownCacheInput = new RegExp(`(?:, ?)?"${cacheInput}": ?"[0-9a-f]{32}"`, "g");

type Identity = Pick<LeasedJob, "tenantSecret" | "jobId" | "attempt">;

/**
 * What the files of one attempt are called on its server. Graphs may build names at run time, where nobody can judge them
 * beforehand, so what keeps a tenant's files from another tenant is that nobody can guess their names: folder and file are
 * HMACs under a key of the tenant's own. Clients see public names only, in graphs, answers and failures.
 */
export class ServerNames {
  /** Every `filename_prefix` begins with it: `genga/<folder>/<file>-`. */
  readonly outputPrefix: string;
  /** What clients see in its place. */
  readonly #shownPrefix: string;
  readonly #names: TenantNames;
  readonly #leased: Identity;
  readonly #secretsKeys: readonly string[];
  readonly #namedUploads: () => Iterable<string>;
  #shown: ReadonlyMap<string, string> | undefined;

  /**
   * @param secretsKeys newest first: the first makes names, and all are known when they come back; none = none is set
   * @param namedUploads the public names of the uploads that the graph names, asked for when a text may hold one
   */
  constructor(
    leased: Identity,
    secretsKeys: readonly string[],
    namedUploads: () => Iterable<string> = () => [],
  ) {
    const { tenantSecret, jobId, attempt } = leased;
    this.#leased = leased;
    this.#secretsKeys = secretsKeys;
    this.#namedUploads = namedUploads;
    this.#names = new TenantNames(tenantSecret, secretsKeys[0]);
    const file = this.#names.of("output-file", jobId, attempt);
    this.outputPrefix = `${uploadFolder}/${this.#names.of("output-folder", jobId, attempt)}/${file}-`;
    this.#shownPrefix = `${uploadFolder}/${jobId}-${attempt}/`;
  }

  /** Where an upload lies in a server's input folder; `null` for a text that is no upload's public name. */
  uploadPlace(publicName: string): { subfolder: string; filename: string } | null {
    const upload = readUploadName(publicName);
    if (upload === null) return null;
    return {
      subfolder: `${uploadFolder}/${this.#names.of("upload-folder")}`,
      filename: `${this.#names.of("upload-file", upload.sha256)}${upload.filename.slice(upload.sha256.length)}`,
    };
  }

  /** Whom a server may give results of nodes with hidden inputs: this tenant's jobs with the same secrets. */
  resultsOf(secrets: Readonly<Record<string, unknown>>): string {
    return this.#names.of("results", JSON.stringify(secrets));
  }

  /** A text that a server gave, with public names in place of those that the server knows. */
  shownText(text: string): string {
    return text.includes(uploadFolder)
      ? text.replace(ownCacheInput, "").replace(ownName, (whole, file: string, end: string) => {
          const shown = this.#shownNames.get(file);
          return shown === undefined || (end === "-") !== (shown === this.#shownPrefix) ? whole : shown;
        })
      : text;
  }

  /**
   * The file's part of a name on the server → what clients see in place of the whole name. Worked out under every key: an
   * adopted prompt was perhaps submitted under an older one, or before there was any.
   */
  get #shownNames(): ReadonlyMap<string, string> {
    if (this.#shown !== undefined) return this.#shown;
    const { tenantSecret, jobId, attempt } = this.#leased;
    const uploads = [...this.#namedUploads()].flatMap((name) => readUploadName(name) ?? []);
    const shown = new Map<string, string>();
    for (const key of [...this.#secretsKeys, undefined]) {
      const names = new TenantNames(tenantSecret, key);
      shown.set(names.of("output-file", jobId, attempt), this.#shownPrefix);
      for (const { sha256, filename } of uploads)
        shown.set(names.of("upload-file", sha256), `${uploadFolder}/${filename}`);
    }
    this.#shown = shown;
    return shown;
  }

  /** What clients call an output. Told by its shape: SECRETS_KEY may have changed since the prompt was submitted. */
  shownFilename({ filename, subfolder }: { filename: string; subfolder: string }): string {
    return ownFolder.test(subfolder) ? filename.replace(ownBeginning, "") : filename;
  }
}
