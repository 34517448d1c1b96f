/** What taking servers out of service needs to know. */
export interface ServerUpkeep {
  /**
   * How many jobs are processed on these servers, whoever holds their leases, with those whose outputs are being saved.
   * @throws StoreUnavailableError
   */
  countProcessing(serverIds: readonly string[]): Promise<number>;
}
