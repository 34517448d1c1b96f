import { toClientJsonText } from "@genga/comfyui";
import { publicNameOf, type JobOutput, type MadeJob } from "@genga/jobs";
import { type GraphFacts } from "./graph-facts.ts";
import { type Spool } from "./spool.ts";

const manifestVersion = 1;

/**
 * The entry that says how each file of a zip was made: `files`, their `jobs` by id, and each graph once, by its hash, in
 * `workflows`. It is collected on disk while the files are sent, so it says of exactly these files what was true then.
 */
export class Manifest {
  readonly #files: Members;
  readonly #jobs: Members;
  readonly #workflows: Members;
  /** The hashes of the graphs that are there, in 32 characters each. */
  readonly #known = new Set<string>();

  private constructor(files: Members, jobs: Members, workflows: Members) {
    this.#files = files;
    this.#jobs = jobs;
    this.#workflows = workflows;
  }

  static async open(openSpool: () => Promise<Spool>): Promise<Manifest> {
    return new Manifest(
      new Members(await openSpool()),
      new Members(await openSpool()),
      new Members(await openSpool()),
    );
  }

  /** Adds a job and its graph, before its files. */
  async addJob(job: MadeJob): Promise<void> {
    const { id, type, batchId, batchName, batchIndex, project, scene, shot, tags, inputs, reusedFrom } = job;
    const about = {
      ...{ type, batchId, batchName, batchIndex, project, scene, shot, tags, inputs, reusedFrom },
      createdAt: job.createdAt.toISOString(),
      finishedAt: job.finishedAt?.toISOString() ?? null,
    };
    const parameters = toClientJsonText(job.parameters);
    await this.#jobs.add(
      `${JSON.stringify(id)}:${withMember(JSON.stringify(about), "parameters", parameters)}`,
    );
    const hash = Buffer.from(job.workflowHash, "hex").toString("latin1");
    if (this.#known.has(hash)) return;
    this.#known.add(hash);
    await this.#workflows.add(`${JSON.stringify(job.workflowHash)}:${toClientJsonText(job.workflow)}`);
  }

  async addFile(
    name: string,
    output: Omit<JobOutput, "text">,
    job: MadeJob,
    facts: GraphFacts,
  ): Promise<void> {
    const { id, jobId, index, nodeId, key, kind, filename, mediaType, bytes, sha256 } = output;
    const { attempt, serverId, serverVersion } = job;
    const file = {
      ...{ name, sha256, bytes, mediaType, outputId: id, jobId, attempt, index, nodeId, key, kind, filename },
      workflow: job.workflowHash,
      ...{ seed: facts.seed, models: facts.models },
      server: serverId === null ? null : { name: publicNameOf({ id: serverId }), version: serverVersion },
    };
    await this.#files.add(JSON.stringify(file));
  }

  /** The JSON text. */
  async *read(): AsyncGenerator<Buffer> {
    yield Buffer.from(`{"version":${manifestVersion},"createdAt":"${new Date().toISOString()}","files":[`);
    yield* this.#files.read();
    yield Buffer.from(`],"jobs":{`);
    yield* this.#jobs.read();
    yield Buffer.from(`},"workflows":{`);
    yield* this.#workflows.read();
    yield Buffer.from("}}\n");
  }
}

/** The members of an object or a list, as JSON texts. */
class Members {
  readonly #spool: Spool;

  constructor(spool: Spool) {
    this.#spool = spool;
  }

  async add(member: string): Promise<void> {
    await this.#spool.write(`${this.#spool.bytes === 0 ? "" : ","}\n${member}`);
  }

  read(): AsyncIterable<Buffer> {
    return this.#spool.read();
  }
}

/** The text of an object, with a further member whose text is known. */
function withMember(object: string, name: string, text: string): string {
  return `${object.slice(0, -1)},${JSON.stringify(name)}:${text}}`;
}
