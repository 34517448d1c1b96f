import { randomUUID } from "node:crypto";
import { type AcceptedBatch, type AcceptedJob, type CheckedBatch } from "@genga/client";
import { type Command } from "commander";
import { type CommandContext, contextOf, type Surroundings } from "../command-context.ts";
import { identified } from "../following/things.ts";
import { objectText } from "../submission/json-text.ts";
import { submissionOf, type Submission, type SubmitOptions } from "../submission/submission.ts";
import { UsageError } from "../terminal/exit-codes.ts";
import { safeText } from "../terminal/safe-text.ts";
import { type Terminal } from "../terminal/terminal.ts";
import { repeatable, watchAndExit } from "./shared.ts";

type Options = SubmitOptions & {
  readonly watch?: boolean;
  readonly idempotencyKey?: string;
};

export function addSubmit(program: Command, surroundings: Surroundings): void {
  program
    .command("submit")
    .description("submit a job, a sweep, or a file of jobs")
    .option("--prompt <text>", "what shall be seen; also a template's value of this name")
    .option("--negative <text>", "what shall not be seen")
    .option("--type <type>", "image or video (default: image)")
    .addOption(repeatable("-p, --param <name=value>", "any other field of a job, such as steps=30"))
    .option("--image <file>", "a picture to begin with: a file, or the id of an upload")
    .option("--mask <file>", "where the picture may change")
    .option("--template <name>", "a stored template, with --value for its parameters")
    .addOption(repeatable("-v, --value <name=value>", "a value for the template"))
    .option("--workflow <file>", "a graph in ComfyUI's API format; - is standard input")
    .option("--jobs <file>", "a batch: a job in JSON on each line; - is standard input")
    .addOption(repeatable("--vary <name=a,b,c>", "a sweep: every value; node.input of a workflow"))
    .option("--seeds <seeds>", "a sweep over seeds: how many, 1-8, or 7,42")
    .option("--zip", "combine first with first, second with second, …")
    .option("--dry-run", "say what a sweep or a file would submit, and submit nothing")
    .option("--name <name>", "of the batch")
    .option("--project <name>")
    .option("--scene <name>")
    .option("--shot <name>")
    .addOption(repeatable("--tag <tag>", "a tag of the job"))
    .addOption(repeatable("--requires <label>", "only servers with this label"))
    .option("--priority <priority>", "urgent, high, normal or low")
    .option("--reuse", "answer from an equal job that has completed")
    .option("--idempotency-key <key>", "under the same key it is accepted once")
    .option("--watch", "then watch it until it has ended")
    .addHelpText("after", examples)
    .action(async (options: Options, command: Command) => {
      const context = await contextOf(command, surroundings);
      const submission = await submissionOf(options, context);
      if (options.dryRun === true) {
        await check(submission, context);
        return;
      }
      const accepted = await send(submission, options.idempotencyKey, context);
      showAccepted(accepted, context.terminal);
      if (options.watch === true) await watchAndExit([accepted.id], undefined, context, surroundings);
    });
}

async function send(
  { path, fields }: Submission,
  idempotencyKey: string | undefined,
  { client, signal }: CommandContext,
): Promise<AcceptedJob | AcceptedBatch> {
  const { data } = await client.http.POST(path, {
    // One key for all attempts of this command, so that a lost answer does not submit twice.
    params: { header: { "Idempotency-Key": idempotencyKey ?? randomUUID() } },
    body: {} as never,
    bodySerializer: () => objectText(fields),
    signal,
  });
  return identified(data as AcceptedJob | AcceptedBatch | undefined);
}

async function check(
  { path, fields }: Submission,
  { client, terminal, signal }: CommandContext,
): Promise<void> {
  if (path !== "/api/anime/batches") throw new UsageError("--dry-run is of sweeps and files of jobs.");
  const { data } = await client.http.POST(path, {
    params: {},
    body: {} as never,
    bodySerializer: () => objectText({ ...fields, dryRun: "true" }),
    signal,
  });
  const checked = data as unknown as CheckedBatch;
  terminal.result(checked, () => [
    `${checked.total} jobs would be submitted; the first of them:`,
    ...checked.jobs.slice(0, 5).map(({ index, values, prompt }) => {
      const shown = Object.keys(values).length === 0 ? (prompt ?? "") : JSON.stringify(values);
      return `  ${index}  ${safeText(shown)}`;
    }),
  ]);
  for (const warning of checked.warnings) terminal.note(`warning: ${warning}`);
}

/** The id alone is on standard output, so that it can be given to the next command. */
function showAccepted(accepted: AcceptedJob | AcceptedBatch, terminal: Terminal): void {
  terminal.result(accepted, () => [accepted.id]);
  for (const warning of accepted.warnings ?? []) terminal.note(`warning: ${warning}`);
  if (terminal.isJson || terminal.out.isTTY !== true) return;
  const what = "total" in accepted ? `a batch of ${accepted.total} jobs` : "a job";
  terminal.note(`${what}; follow it: genga watch ${accepted.id}`);
}

const examples = `
Examples:
  genga submit --prompt "a lighthouse at dawn" -p steps=30 -p width=832
  genga submit --prompt "inked" --image sketch.png -p denoise=0.5 --watch
  genga submit --template colour-card -v color=255
  genga submit --workflow graph.json --vary 3.seed=1,2,3
  genga submit --prompt "a harbour" --vary steps=20,30 --seeds 4 --dry-run
  generate-shots | genga submit --jobs - --name "scene 4"
  id=$(genga submit --prompt "a hill") && genga watch $id && genga get $id`;
