import { mainModelOf, needsOf, parseWorkflow, type Workflow } from "@genga/comfyui";
import {
  openSecretBox,
  ticketId,
  type HeldTicket,
  type JobProgress,
  type LeasedJob,
  type SecretBox,
} from "@genga/jobs";
import { runKindOf } from "@genga/workflows";
import { extraDataOf, hiddenSecretsOf, secretsOf } from "./extra-data.ts";
import { type HiddenSecrets } from "./hidden-secrets.ts";
import { LeaseClock } from "./lease-clock.ts";
import { type DoorRelay } from "../door/door-relay.ts";
import { RunMeasure } from "../durations/run-measure.ts";
import { type RunTiming } from "../lanes/run-timing.ts";
import { shownNameOf } from "../files/input-files.ts";
import { uploadsNamedBy } from "../files/send-uploads.ts";
import { ServerNames } from "../files/server-names.ts";

/** Why a run stops before its job has ended. */
export type RunStop =
  /** Another worker holds the job: this one writes nothing more. */
  | "lease-lost"
  /** The worker stops or hands the server over: the prompt goes on, and the successor adopts it. */
  | "hand-over"
  /** The server has been away for longer than its grace: the job goes elsewhere. */
  | "server-lost";

const leftOut =
  "(What the server said is left out: it may quote the job's extraData, and the worker has no SECRETS_KEY that decrypts it.)";

export class RunStopped extends Error {
  override readonly name = "RunStopped";
  readonly stop: RunStop;

  constructor(stop: RunStop) {
    super(`The run was stopped: ${stop}.`);
    this.stop = stop;
  }
}

/** A run, as one behind it on its server knows it. */
type QueuedRun = Pick<Run, "promptId" | "wasSent">;

/** One job under our lease, from claim or adoption to its end. */
export class Run {
  readonly leased: LeasedJob;
  readonly lease: LeaseClock;
  /** By the monotonic clock: the times left that the database told with the lease count from here. */
  readonly leasedSince: number;
  /** The names of its files on the server. */
  readonly names: ServerNames;
  readonly wasAdopted: boolean;
  #ticket: HeldTicket | null;
  #hasLetTicketGo = false;
  /** The run holds a slot until the server has let go of the prompt; saving outputs does not need one. */
  holdsSlot = true;
  isExecuting = false;
  /** Measures the execution; `null` until it begins, and for an adopted prompt that has begun before. */
  timing: RunTiming | null = null;
  /** Whether the server had to load the prompt's model; `null` = not known. */
  hadToLoad: boolean | null = null;
  /** When its server's message came that its execution has ended, by the monotonic clock. */
  endHeardAt: number | null = null;
  /** Its POST is under way, or got no reply. A successor that looks the prompt up too early may not find it yet. */
  mayStillArrive = false;
  progress: JobProgress;
  /** Passes on what the server says, of a job of the door. */
  relay: DoorRelay | undefined;
  /** Called when another server could begin the job at once; set while the prompt is watched (`take-back.ts`). */
  onTakeBackAsked: (() => void) | null = null;
  /** Called when the server gets no new work from now on; set while the prompt is watched. */
  onServerHeld: (() => void) | null = null;
  /**
   * The server has the prompt, as far as this worker knows. Stays false for an adopted prompt, whose place in the queue
   * is unknown.
   */
  wasSent = false;
  /**
   * The runs whose prompts the server got before this one, or may have got, and which have not left it; with whether it
   * was known to have the prompt when this one was posted.
   */
  readonly #ahead = new Map<QueuedRun, boolean>();
  #isBehindOthers = false;
  #workflow: Workflow | undefined;
  #measure: RunMeasure | undefined;
  readonly #secretBox: SecretBox | undefined;
  #extraData: Record<string, unknown> | undefined;
  #secretsToHide: HiddenSecrets | null | undefined;
  readonly #stopping = new AbortController();
  readonly #cancelling = new AbortController();

  constructor(options: {
    leased: LeasedJob;
    ticket: HeldTicket | null;
    wasAdopted: boolean;
    leaseMs: number;
    leasedSince: number;
    /** Newest first; empty = SECRETS_KEY is not set. */
    secretsKeys?: readonly string[];
  }) {
    this.leased = options.leased;
    const secretsKeys = options.secretsKeys ?? [];
    this.names = new ServerNames(
      options.leased,
      secretsKeys,
      () => uploadsNamedBy(this.workflow),
      options.leased.inputs.flatMap(({ file }) =>
        file === null ? [] : { sha256: file.sha256, filename: shownNameOf(file) },
      ),
    );
    this.#secretBox = openSecretBox(secretsKeys);
    this.#ticket = options.ticket;
    this.wasAdopted = options.wasAdopted;
    this.lease = new LeaseClock(options.leaseMs, options.leasedSince);
    this.leasedSince = options.leasedSince;
    this.progress = options.leased.job.progress;
    this.isExecuting = options.leased.executionElapsedMs !== null;
    if (options.leased.job.cancelRequestedAt !== null) this.#cancelling.abort();
  }

  /** The ticket of its job, while this run holds it. */
  get ticket(): HeldTicket | null {
    return this.#ticket;
  }

  /**
   * Keeps a ticket of its job that this worker took. `false`: the ticket belongs to another job or attempt, is
   * stale, or comes too late.
   */
  keepTicket(ticket: HeldTicket): boolean {
    const own = ticketId({ ...this.leased, ticketNumber: this.leased.job.ticketNumber });
    if (this.#hasLetTicketGo || ticketId(ticket) !== own) return false;
    this.#ticket = ticket;
    return true;
  }

  /** Its prompt may be in its server's queue, before one that is posted now: sent, on its way there, or adopted. */
  get mayBeOnServer(): boolean {
    return this.wasSent || this.mayStillArrive || this.wasAdopted;
  }

  /** Its prompt is about to be posted behind those of these runs, and perhaps behind those of other clients. */
  notePost(ahead: Iterable<QueuedRun>, isBehindOthers: boolean): void {
    for (const run of ahead) this.#ahead.set(run, run.wasSent);
    this.#isBehindOthers = isBehindOthers;
  }

  /** Prompts of other clients were seen on the server while this one waited there. */
  noteOthers(): void {
    this.#isBehindOthers = true;
  }

  /** The prompt of that run has left the server normally. */
  noteGone(run: QueuedRun): void {
    this.#ahead.delete(run);
  }

  /**
   * Whether one of these prompts on its server is known to have come before this one, which then cannot have begun; nor has
   * the server restarted since.
   */
  isBehindOneOf(promptIds: readonly string[]): boolean {
    return [...this.#ahead].some(([{ promptId }, wasThere]) => wasThere && promptIds.includes(promptId));
  }

  /**
   * Whether the server may have been executing the prompt: because it said so, or because no known prompt was in front
   * of this one. A graph may crash a server before its first message is sent.
   */
  get mayHaveBegun(): boolean {
    return this.isExecuting || (this.wasSent && this.#ahead.size === 0 && !this.#isBehindOthers);
  }

  /** The job's queue deadline had passed when the run began. */
  get hasExpired(): boolean {
    return this.leased.expiresInMs !== null && this.leased.expiresInMs <= 0;
  }

  /** How much of the job's queue time is left; `null` = it has no queue deadline. */
  queueLeftMs(now: number = performance.now()): number | null {
    const { expiresInMs } = this.leased;
    return expiresInMs === null ? null : expiresInMs - (now - this.leasedSince);
  }

  /**
   * Takes the ticket from the run, to be finished or given back. From now on the run keeps no ticket, since it would
   * not finish it.
   */
  letTicketGo(): HeldTicket | null {
    this.#hasLetTicketGo = true;
    return this.#ticket;
  }

  /** The graph, read when it is first asked for. */
  get workflow(): Workflow {
    this.#workflow ??= parseWorkflow(this.leased.workflow);
    return this.#workflow;
  }

  /** The model that the server must have loaded; `null` = none. */
  get mainModel(): string | null {
    return mainModelOf(needsOf(this.workflow).models);
  }

  /** How long its execution will take, and how long its nodes took. */
  get measure(): RunMeasure {
    return (this.#measure ??= new RunMeasure(runKindOf(this.workflow)));
  }

  /** The extra data that is sent with the graph. @throws ExtraDataError */
  get extraData(): Record<string, unknown> {
    return (this.#extraData ??= extraDataOf(this.leased, this.#secretBox));
  }

  /** Whom the server may give results of nodes with hidden inputs. @throws ExtraDataError */
  get resultsOf(): string {
    return this.names.resultsOf(secretsOf(this.leased, this.#secretBox));
  }

  /** Some of the extra data is secret. */
  get hasSecrets(): boolean {
    return this.leased.hasExtraData;
  }

  /**
   * Another worker sent the prompt with secrets that this one cannot read, so it cannot find them in what the server says.
   * A worker that cannot read them has not sent them itself.
   */
  get hasUnknownSecrets(): boolean {
    return this.wasAdopted && this.#hiddenSecrets === null;
  }

  /** A text from the server, as clients may read it: with public names, and without secrets. */
  shownText(text: string): string {
    if (this.hasUnknownSecrets) return leftOut;
    const shown = this.names.shownText(text);
    return this.#hiddenSecrets?.hideIn(shown) ?? shown;
  }

  /** The same for a text within what a server's history says of the prompt. */
  shownEntryText(text: string): string {
    return this.shownText(this.names.shownPart(text));
  }

  get #hiddenSecrets(): HiddenSecrets | null {
    if (this.#secretsToHide === undefined)
      this.#secretsToHide = hiddenSecretsOf(this.leased, this.#secretBox);
    return this.#secretsToHide;
  }

  /** The lane of its job. */
  get lane(): string {
    return this.leased.job.lane;
  }

  /** How long its prompt has been executing; 0 = it is not, infinite = that is not known. */
  executingMs(now: number): number {
    if (!this.isExecuting) return 0;
    return this.timing?.executingMs(now) ?? Number.POSITIVE_INFINITY;
  }

  get promptId(): string {
    return this.leased.promptId;
  }

  get jobId(): string {
    return this.leased.jobId;
  }

  /** Aborted with a `RunStopped` as its reason. */
  get stopSignal(): AbortSignal {
    return this.#stopping.signal;
  }

  get cancelSignal(): AbortSignal {
    return this.#cancelling.signal;
  }

  stop(why: RunStop): void {
    this.#stopping.abort(new RunStopped(why));
  }

  noteServerHeld(): void {
    this.onServerHeld?.();
  }

  /** Asks the run to end its prompt. May be called more than once. */
  requestCancel(): void {
    this.#cancelling.abort();
  }
}
