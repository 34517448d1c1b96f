import { isOfKind, type InputKind, type JobInput } from "@genga/jobs";

/** An output of another job that the job cannot use; no other server and no other try would change that. */
export class DependencyOutputError extends Error {
  override readonly name = "DependencyOutputError";
}

/** A file of another job, as it is sent to a server. */
export interface InputFile {
  storageKey: string;
  sha256: string;
  mediaType: string;
  bytes: number;
  /** Without a dot; loaders of servers go by it. */
  extension: string;
}

/** Other parts of the same request, generously. */
const formBytes = 4_096;

/**
 * The file of an input, if the job can use it.
 * @param uploadBytesMax the size of the largest request that the server accepts; `null` = not known
 * @throws DependencyOutputError
 */
export function fileOfInput(input: JobInput, uploadBytesMax: number | null): InputFile {
  const { from, output, kind, file } = input;
  const which = `Output ${output} of job ${from}`;
  if (file === null) {
    throw new DependencyOutputError(
      `${which} is not there: the job completed without it, or it is a text and no file.`,
    );
  }
  const { storageKey, sha256, mediaType, filename, bytes } = file;
  if (kind !== null && !isOfKind(kind, mediaType))
    throw new DependencyOutputError(`${which} is ${mediaType}, and this job needs ${inWords[kind]}.`);
  if (uploadBytesMax !== null && bytes + formBytes > uploadBytesMax) {
    throw new DependencyOutputError(
      `${which} has ${bytes} bytes, and the server takes requests of up to ${uploadBytesMax} bytes.`,
    );
  }
  return { storageKey, sha256, mediaType, bytes, extension: extensionOf(filename, mediaType) };
}

const inWords: Record<InputKind, string> = { image: "an image", video: "a video", audio: "a sound" };

function extensionOf(filename: string, mediaType: string): string {
  const own = /\.([a-z0-9]{1,8})$/i.exec(filename)?.[1]?.toLowerCase();
  return own ?? mediaType.replace(/^.*\/(?:x-)?/, "").replace(/[^a-z0-9].*$/, "");
}

/** How clients see a file of another job in texts of a server. */
export function shownNameOf({ sha256, filename, mediaType }: NonNullable<JobInput["file"]>): string {
  return `${sha256}.${extensionOf(filename, mediaType)}`;
}
