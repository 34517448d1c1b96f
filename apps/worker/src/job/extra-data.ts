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

/** The extra data that is sent with the graph: the open part and the secret part. @throws ExtraDataError */
export function extraDataOf(leased: Leased, secretBox: SecretBox | undefined): Record<string, unknown> {
  const { extraDataText: text, parameters } = leased;
  const open =
    text === null ? keptSchema.parse(parameters).extraData : dataSchema.parse(parseExactJson(text));
  return { ...open, ...secretsOf(leased, secretBox) };
}

/** Finds the secret part in texts from the server; `null` = this worker cannot decrypt it. */
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
    const message = "The job's extraData is no longer stored; retry the job with extraData in the body.";
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
