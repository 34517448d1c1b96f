/** A real server that this process started on this machine. */
export interface EmbeddedServer {
  readonly name: string;
  readonly version: string;
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataFolder: string;
  /**
   * Resolves when the server has ended, whether it was stopped or not, with a text such as "exit code 1" or "SIGKILL".
   */
  readonly ended: Promise<string>;
  /** Stops the server cleanly; does nothing if it has ended already. */
  stop(): Promise<void>;
}

export interface EmbeddedServerOptions {
  /** The folder that holds all of the server's data; it is created. Only one process may use it at a time. */
  readonly dataDir: string;
  /** Receives lines for people: the steps of the start, and a last line when the server is ready. */
  readonly report?: (line: string) => void;
  /** Receives the server's own output, line by line. */
  readonly onLine?: (line: string) => void;
  /** Requires this port, because clients know it already. Without it, the last port is used if it is free. */
  readonly port?: number;
  readonly signal?: AbortSignal | undefined;
}
