import { parseExactJson } from "@genga/comfyui";
import { type LeasedJob, openExtraData, SecretBoxError, type SecretBox } from "@genga/jobs";
import { z } from "zod";
import { HiddenSecrets } from "./hidden-secrets.ts";

/** Why extra data cannot be sent. `unreadable`: this worker cannot decrypt it; another one may have the right SECRETS_KEY. */
export class ExtraDataError extends Error {
  override readonly name = "ExtraDataError";
  readonly code: "extra-data-missing" | "extra-data-unreadable";

  constructor(code: ExtraDataError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

type Leased = Pick<LeasedJob, "jobId" | "parameters" | "extraDataText" | "hasExtraData" | "sealedExtraData">;

const dataSchema = z.record(z.string(), z.unknown());
const keptSchema = z.object({ extraData: dataSchema }).catch({ extraData: {} });

/** What goes to the server beside the graph, open and secret. @throws ExtraDataError */
export function extraDataOf(leased: Leased, secretBox: SecretBox | undefined): Record<string, unknown> {
  const { extraDataText: text, parameters } = leased;
  const open =
    text === null ? keptSchema.parse(parameters).extraData : dataSchema.parse(parseExactJson(text));
  return { ...open, ...secretsOf(leased, secretBox) };
}

/** The secret part, to be cut out of what a server says; `null` = this worker cannot read it. */
export function hiddenSecretsOf(leased: Leased, secretBox: SecretBox | undefined): HiddenSecrets | null {
  try {
    return new HiddenSecrets(secretsOf(leased, secretBox));
  } catch (error) {
    if (error instanceof ExtraDataError) return null;
    throw error;
  }
}

/** The secret part alone. @throws ExtraDataError */
export function secretsOf(
  { jobId, hasExtraData, sealedExtraData }: Leased,
  secretBox: SecretBox | undefined,
): Record<string, unknown> {
  if (!hasExtraData) return {};
  if (sealedExtraData === null) {
    const message = "Its extraData is not there any more; retry the job with it (a body with extraData).";
    throw new ExtraDataError("extra-data-missing", message);
  }
  if (secretBox === undefined) {
    const message = "The worker has no SECRETS_KEY and cannot decrypt the job's extraData.";
    throw new ExtraDataError("extra-data-unreadable", message);
  }
  try {
    return dataSchema.parse(parseExactJson(openExtraData(secretBox, jobId, sealedExtraData)));
  } catch (error) {
    if (!(error instanceof SecretBoxError)) throw error;
    const message = `The worker cannot decrypt the job's extraData. ${error.message}`;
    throw new ExtraDataError("extra-data-unreadable", message, { cause: error });
  }
}
