/** A real server that can be ended at once and started again, at its address and with its data. */
export interface CrashableServer {
  readonly url: string;
  crash(how: "SIGKILL" | "SIGQUIT"): Promise<void>;
  startAgain(): Promise<void>;
}

export interface Services {
  /** Its URL names a migrated database that is the suite's own, and an account that is the product's. */
  postgres: CrashableServer & {
    /** Whether it refuses the product's connections, and ends those that there are. */
    beFull(isFull: boolean): Promise<void>;
    /** Lets every statement on jobs wait for so long. */
    lockJobs(ms: number): Promise<void>;
  };
  redis: CrashableServer & {
    flush(): Promise<void>;
    /** Whether it refuses every write for want of memory. */
    beFull(isFull: boolean): Promise<void>;
    /** Tickets that wait or are held: state and id of each. */
    liveTickets(): Promise<string[]>;
  };
}
