import { cacheInput } from "@genga/comfyui";
import { type LeasedJob, readUploadName, TenantNames, uploadFolder } from "@genga/jobs";

/**
 * The form of Genga's names on a server: below Genga's folder, a folder and a file (or the beginning of a file's name).
 */
const ownName = /genga[\\/]+[0-9a-f]{32}[\\/]+([0-9a-f]{32})(-|\.[a-z0-9]{1,8})/g;
const ownFolder = /^genga[\\/][0-9a-f]{32}$/;
const ownBeginning = /^[0-9a-f]{32}-/;
/** In the graph that a server writes into a file. */
const ownMember = `"${cacheInput}": ?"[0-9a-f]{32}"`;
const ownCacheInput = new RegExp(`, ?${ownMember}|${ownMember}(?:, ?)?`, "g");

/**
 * The name of a preview's file. A server makes the letters once for each id and class of a node, and keeps them while its
 * prompts have that node (nodes.py, PreviewImage): whoever knows them can work out the names of other tenants' previews.
 */
const previewName = /(_temp_)[a-z]{5}_(?=[0-9]{5}_)/g;

type Identity = Pick<LeasedJob, "tenantSecret" | "jobId" | "attempt">;

/**
 * The names of one attempt's files on its server. Graphs may build file names while they run, so they cannot be checked
 * beforehand. A tenant's files are safe from other tenants because their names cannot be guessed: folder and file are
 * HMACs under a key of the tenant. Clients see public names only, in graphs, answers and failures.
 */
export class ServerNames {
  /** Every `filename_prefix` begins with it: `genga/<folder>/<file>-`. */
  readonly outputPrefix: string;
  /** The prefix that clients see instead. */
  readonly #shownPrefix: string;
  readonly #names: TenantNames;
  readonly #leased: Identity;
  readonly #secretsKeys: readonly string[];
  readonly #namedUploads: () => Iterable<string>;
  readonly #files: Iterable<{ sha256: string; filename: string }>;
  #shown: ReadonlyMap<string, string> | undefined;

  /**
   * @param secretsKeys newest first; names are made with the first and recognised with all; empty = SECRETS_KEY is not
   * set
   * @param namedUploads returns the public names of the uploads that the graph names; called when a text may contain
   * one
   * @param files files of other jobs that the graph reads, with the names by which clients see them
   */
  constructor(
    leased: Identity,
    secretsKeys: readonly string[],
    namedUploads: () => Iterable<string> = () => [],
    files: Iterable<{ sha256: string; filename: string }> = [],
  ) {
    const { tenantSecret, jobId, attempt } = leased;
    this.#leased = leased;
    this.#secretsKeys = secretsKeys;
    this.#namedUploads = namedUploads;
    this.#files = files;
    this.#names = new TenantNames(tenantSecret, secretsKeys[0]);
    const file = this.#names.of("output-file", jobId, attempt);
    this.outputPrefix = `${uploadFolder}/${this.#names.of("output-folder", jobId, attempt)}/${file}-`;
    this.#shownPrefix = `${uploadFolder}/${jobId}-${attempt}/`;
  }

  /** The place of an upload in a server's input folder; `null` for a text that is not the public name of an upload. */
  uploadPlace(publicName: string): { subfolder: string; filename: string } | null {
    const upload = readUploadName(publicName);
    if (upload === null) return null;
    const { sha256, filename } = upload;
    return this.filePlace({ sha256, extension: filename.slice(sha256.length + 1) });
  }

  /** The place of a file in a server's input folder. */
  filePlace(file: { sha256: string; extension: string }): { subfolder: string; filename: string } {
    return {
      subfolder: `${uploadFolder}/${this.#names.of("upload-folder")}`,
      filename: `${this.#names.of("upload-file", file.sha256)}.${file.extension}`,
    };
  }

  /** Names the jobs that may share a server's cached results of nodes with hidden inputs: this tenant's, with equal secrets. */
  resultsOf(secrets: Readonly<Record<string, unknown>>): string {
    return this.#names.of("results", JSON.stringify(secrets));
  }

  /** A text from the server, with names on the server replaced by public names. */
  shownText(text: string): string {
    const withoutLetters = text.replace(previewName, "$1");
    return text.includes(uploadFolder)
      ? withoutLetters.replace(ownCacheInput, "").replace(ownName, (whole, file: string, end: string) => {
          const shown = this.#shownNames.get(file);
          return shown === undefined || (end === "-") !== (shown === this.#shownPrefix) ? whole : shown;
        })
      : withoutLetters;
  }

  /**
   * A text from the server's list of outputs, where a file and its folder are texts of their own: without what this attempt has put
   * before the name, and without the folder.
   */
  shownPart(text: string): string {
    if (ownFolder.test(text)) return "";
    const isOwn = ownBeginning.test(text) && this.#shownNames.get(text.slice(0, 32)) === this.#shownPrefix;
    return isOwn ? text.replace(ownBeginning, "") : text;
  }

  /**
   * Maps the file part of a name on the server to what clients see instead of the whole name. Computed under every key,
   * since an adopted prompt may have been submitted under an older key, or before there was one.
   */
  get #shownNames(): ReadonlyMap<string, string> {
    if (this.#shown !== undefined) return this.#shown;
    const { tenantSecret, jobId, attempt } = this.#leased;
    const uploads = [
      ...[...this.#namedUploads()].flatMap((name) => readUploadName(name) ?? []),
      ...this.#files,
    ];
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

  /**
   * The name of an output for clients. It is recognised by its form, because SECRETS_KEY may have changed since the
   * prompt was submitted.
   */
  shownFilename({ filename, subfolder }: { filename: string; subfolder: string }): string {
    return ownFolder.test(subfolder)
      ? filename.replace(ownBeginning, "")
      : filename.replace(previewName, "$1");
  }
}
