import { randomUUID } from "node:crypto";
import { type AcceptedJob, GengaError } from "@genga/client";
import { type Command } from "commander";
import { type CommandContext, contextOf, type Surroundings } from "../command-context.ts";
import { doingText, isBatch, labelOf, type State } from "../following/states.ts";
import { objectText } from "../submission/json-text.ts";
import { changesText } from "../submission/submission.ts";
import { exitCodes } from "../terminal/exit-codes.ts";
import { explain, isGone } from "../terminal/explain.ts";
import { repeatable, watchAndExit } from "./shared.ts";
import { identified, thingOf } from "../following/things.ts";

/** `cancel`, `retry` and `rerun`. */
export function addActing(program: Command, surroundings: Surroundings): void {
  for (const [name, description, status] of [
    ["cancel", "cancel jobs and batches; what has ended stays", "queued"],
    ["retry", "give failed jobs another attempt; of a batch, all that failed", "failed"],
  ] as const)
    program
      .command(name)
      .description(description)
      .argument("<ids...>", "of jobs or batches")
      .addHelpText(
        "after",
        `\nExample:\n  genga ls --status ${status} --json | jq -r '.jobs[].id' | xargs -r genga ${name}`,
      )
      .action(async (ids: string[], _options: unknown, command: Command) => {
        surroundings.exitWith(await actOn(ids, name, await contextOf(command, surroundings)));
      });
  program
    .command("rerun")
    .description("submit a job again, with changed parameters if wanted")
    .argument("<id>", "of a job that has ended")
    .addOption(repeatable("-p, --param <name=value>", "a parameter that changes"))
    .option("--watch", "then watch it until it has ended")
    .addHelpText("after", "\nExample:\n  genga rerun 0199a7b2-… -p steps=40 -p seed=7 --watch")
    .action(async (id: string, options: { param?: string[]; watch?: boolean }, command: Command) => {
      const context = await contextOf(command, surroundings);
      const { client, terminal, signal } = context;
      const { data } = await client.http.POST("/api/anime/jobs/{id}/rerun", {
        params: { path: { id }, header: { "Idempotency-Key": randomUUID() } },
        body: {},
        bodySerializer: () => objectText({ changes: changesText(options.param ?? []) }),
        signal,
      });
      const accepted = identified(data as AcceptedJob | undefined);
      terminal.result(accepted, () => [accepted.id]);
      if (options.watch === true) await watchAndExit([accepted.id], undefined, context, surroundings);
    });
}

/** One that is refused stops none of the others. @returns the exit code */
async function actOn(
  ids: readonly string[],
  name: "cancel" | "retry",
  context: CommandContext,
): Promise<number> {
  const { client, terminal, signal } = context;
  const states: State[] = [];
  let code: number = exitCodes.ok;
  const explainRefusal = (error: unknown): GengaError => {
    if (!(error instanceof GengaError) || error.status === 0 || error.status >= 500) throw error;
    const isDone = name === "cancel" && error.code.endsWith("already-ended");
    if (!isDone) code = explain(error, terminal);
    return error;
  };
  try {
    for (const id of ids) {
      const done = await client[name](id, { signal }).catch(explainRefusal);
      if (isGone(done)) continue;
      const state = await thingOf(id, context).catch(explainRefusal);
      if (state instanceof GengaError) continue;
      states.push(state);
      if (!terminal.isJson) terminal.line(standingText(state));
    }
  } finally {
    // Also after a failure: this much was done.
    if (terminal.isJson) terminal.json(states);
  }
  return code;
}

function standingText(state: State): string {
  const doing = doingText(state);
  const status = isBatch(state) || doing.startsWith(state.status) ? "" : `${state.status}  `;
  return `${labelOf(state)}  ${status}${doing}`;
}
