/** A real server that this process started on this machine. */
export interface EmbeddedServer {
  readonly name: string;
  readonly version: string;
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataFolder: string;
  /** Resolves when the server has ended, asked or not, in words such as "exit code 1" or "SIGKILL". */
  readonly ended: Promise<string>;
  /** Ends the server in order; harmless when it has ended already. */
  stop(): Promise<void>;
}

export interface EmbeddedServerOptions {
  /** The folder under which everything is kept; it is created. Only one process may use it at a time. */
  readonly dataDir: string;
  /** Lines for people: what happens, and once at the end that it is ready. */
  readonly report?: (line: string) => void;
  /** The server's own output, line by line. */
  readonly onLine?: (line: string) => void;
  /** Only this port will do: others know it already. Otherwise the last one is used if it is free. */
  readonly port?: number;
  readonly signal?: AbortSignal | undefined;
}
