export type EmbeddedServiceErrorCode =
  /** Another live process works in the data folder. Retry: after that process has ended. */
  | "DATA_FOLDER_HELD"
  /** The server's program cannot be found, fetched or run here. Retry: no, a person has to act. */
  | "PROGRAM_UNAVAILABLE"
  /** The server's program ended, or was not ready in time. Retry: may help. */
  | "START_FAILED";

/** An embedded service could not be started. The message is meant for a person. */
export class EmbeddedServiceError extends Error {
  override readonly name = "EmbeddedServiceError";
  readonly code: EmbeddedServiceErrorCode;

  constructor(code: EmbeddedServiceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get mayRetry(): boolean {
    return this.code === "START_FAILED";
  }
}
