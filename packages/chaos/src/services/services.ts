/** A real server that can be killed and started again, at the same address and with its data. */
export interface CrashableServer {
  readonly url: string;
  crash(how: "SIGKILL" | "SIGQUIT"): Promise<void>;
  startAgain(): Promise<void>;
}

export interface Services {
  /** Its URL names a migrated database of the suite, and the account of Genga's processes. */
  postgres: CrashableServer & {
    /** Whether Postgres refuses connections of Genga's account, and ends the existing ones. */
    beFull(isFull: boolean): Promise<void>;
    /** Makes every statement on jobs wait for this long. */
    lockJobs(ms: number): Promise<void>;
  };
  redis: CrashableServer & {
    flush(): Promise<void>;
    /** Whether Redis refuses every write because its memory is full. */
    beFull(isFull: boolean): Promise<void>;
    /** The state and id of each ticket that waits or is held. */
    liveTickets(): Promise<string[]>;
  };
}
