import { once } from "node:events";
import { type Server } from "node:http";
import { type ExecutionLog } from "./control/execution-log.ts";
import { type HttpFaults } from "./control/http-faults.ts";
import { type OutputFaults } from "./control/output-faults.ts";
import { type DrawingThread } from "./drawing/drawing-thread.ts";
import { Clock } from "./execution/clock.ts";
import { Executor } from "./execution/executor.ts";
import { PromptQueue } from "./execution/prompt-queue.ts";
import { TempNames } from "./execution/temp-names.ts";
import { acceptedFiles } from "./nodes/accepted-files.ts";
import { LoadedModel } from "./nodes/loaded-model.ts";
import { NodeCatalog } from "./nodes/node-catalog.ts";
import { readNodeDefinitions } from "./nodes/node-definitions.ts";
import { AbandonedException } from "./nodes/node-run.ts";
import { type ResolvedOptions } from "./options.ts";
import { ClientSockets } from "./messages/client-sockets.ts";
import { Folders } from "./files/folders.ts";
import { HistoryRoutes } from "./protocol/history-routes.ts";
import { HttpRouter } from "./protocol/http-router.ts";
import { registerInformationRoutes, serverFeatures } from "./protocol/information-routes.ts";
import { JobsRoutes } from "./protocol/jobs-routes.ts";
import { PromptRoutes } from "./protocol/prompt-routes.ts";
import { createProtocolServer } from "./protocol/protocol-server.ts";
import { SocketServer } from "./protocol/socket-server.ts";
import { uploadRoute } from "./protocol/upload-route.ts";
import { viewRoute } from "./protocol/view-route.ts";

/** The most results in a cache that keeps those of every earlier prompt. */
const cachedResultsMax = 2_000;

/** The parts that outlive a restart of the simulated server: the machine around it. */
export interface Machine {
  readonly options: ResolvedOptions;
  readonly drawing: DrawingThread;
  readonly log: ExecutionLog;
  readonly outputFaults: OutputFaults;
  readonly httpFaults: HttpFaults;
  /** Called when the server ends itself. */
  readonly onCrash: (reason: string) => void;
}

/** One run of the server process, from its start to its end; a restart creates a new one without any state. */
export class ServerLife {
  readonly clock = new Clock();
  readonly queue: PromptQueue;
  readonly executor: Executor;
  readonly sockets: ClientSockets;
  readonly #socketServer: SocketServer;
  readonly #server: Server;
  readonly #machine: Machine;
  readonly #folders: Folders;
  readonly #loaded = new LoadedModel();

  constructor(machine: Machine) {
    this.#machine = machine;
    const { options } = machine;
    this.#folders = new Folders(options.dataDir, options.outputDir);
    this.sockets = new ClientSockets(machine.onCrash);
    this.queue = new PromptQueue(
      () => {
        const status = { status: { exec_info: { queue_remaining: this.queue.remaining } } };
        this.sockets.send("status", status, null);
      },
      () => {
        this.executor.wake();
      },
    );
    const catalog = new NodeCatalog(readNodeDefinitions(options.api, options.nodePacks), (className, input) =>
      acceptedFiles(className, input, options.models, this.#folders),
    );
    this.executor = new Executor(
      this.queue,
      this.sockets,
      machine.log,
      {
        catalog,
        folders: this.#folders,
        drawing: machine.drawing,
        timing: options.timing,
        loaded: this.#loaded,
        faults: machine.outputFaults,
        tempNames: new TempNames(),
        previews: options.previews,
        isNewer: options.api === "0.28",
        cachedResultsMin: options.cacheKeeps === "every-prompt" ? cachedResultsMax : 0,
        crash: (reason) => {
          machine.onCrash(reason);
          throw new AbandonedException();
        },
      },
      this.clock,
    );
    this.#socketServer = new SocketServer({
      sockets: this.sockets,
      clock: this.clock,
      features: serverFeatures(options.api, options.bodyBytesMax),
      queueRemaining: () => this.queue.remaining,
      executorView: () => this.executor.view,
    });
    this.#server = createProtocolServer({
      router: this.#routes(catalog),
      clock: this.clock,
      faults: machine.httpFaults,
      bodyBytesMax: options.bodyBytesMax,
      refusesCrossSite: options.api === "0.28",
      onUpgrade: (request, socket, head) => {
        this.#socketServer.upgrade(request, socket, head);
      },
    });
  }

  /** Opens the port: until then connections are refused, from then on everything works (PROTOCOL 9). */
  async start(port: number): Promise<number> {
    this.#folders.prepare();
    this.#server.listen(port, this.#machine.options.host);
    await once(this.#server, "listening");
    void this.executor.work();
    const address = this.#server.address();
    return address !== null && typeof address === "object" ? address.port : port;
  }

  /** Ends at once: sockets drop without a close frame, replies stay unfinished, nothing is recorded. */
  async stop(): Promise<void> {
    this.clock.stop();
    this.executor.wake();
    this.#socketServer.terminate();
    this.sockets.clear();
    const closed = this.#server.listening ? once(this.#server, "close") : Promise.resolve();
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  dropSockets(): void {
    this.#socketServer.terminate();
  }

  /**
   * TCP connections stay open and nothing answers, like a process that received SIGSTOP; afterwards the server
   * continues.
   */
  freeze(ms: number): void {
    this.clock.freeze(ms);
    this.sockets.hold(true);
    void this.clock.thawed().then(() => {
      this.sockets.hold(false);
    });
  }

  #routes(catalog: NodeCatalog): HttpRouter {
    const { options } = this.#machine;
    const router = new HttpRouter();
    const isNewer = options.api === "0.28";
    const { queue, executor } = this;
    const folders = this.#folders;
    new PromptRoutes({ queue, executor, catalog, folders, isNewer }).register(router);
    if (isNewer) new JobsRoutes(queue, executor).register(router);
    new HistoryRoutes(this.queue).register(router);
    router.add("/view", { GET: viewRoute(this.#folders, isNewer) });
    router.add("/upload/image", { POST: uploadRoute(this.#folders) });
    registerInformationRoutes(router, catalog, options.models, {
      api: options.api,
      bodyBytesMax: options.bodyBytesMax,
      usedBytes: () => this.#loaded.bytes,
      argv: () => ["main.py", "--listen", options.host, "--output-directory", options.outputDir],
    });
    return router;
  }
}
