import { randomUUID } from "node:crypto";
import { type AcceptedJob } from "@genga/client";
import { type Command } from "commander";
import { contextOf, type Surroundings } from "../command-context.ts";
import { doingText, isBatch, labelOf, type State } from "../following/states.ts";
import { objectText } from "../submission/json-text.ts";
import { changesText } from "../submission/submission.ts";
import { repeatable, watchAndExit } from "./shared.ts";
import { thingOf } from "./things.ts";

/** `cancel`, `retry` and `rerun`. */
export function addActing(program: Command, surroundings: Surroundings): void {
  for (const [name, description] of [
    ["cancel", "cancel jobs and batches; what has ended stays"],
    ["retry", "give failed jobs another attempt; of a batch, all that failed"],
  ] as const)
    program
      .command(name)
      .description(description)
      .argument("<ids...>", "of jobs or batches")
      .action(async (ids: string[], _options: unknown, command: Command) => {
        const context = await contextOf(command, surroundings);
        const { client, terminal, signal } = context;
        const states: State[] = [];
        for (const id of ids) {
          await client[name](id, { signal });
          const state = await thingOf(id, context);
          states.push(state);
          if (!terminal.isJson)
            terminal.line(
              `${labelOf(state)}  ${isBatch(state) ? "" : `${state.status}  `}${doingText(state)}`,
            );
        }
        if (terminal.isJson) terminal.json(states);
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
      const accepted = data as AcceptedJob;
      if (options.watch !== true || !terminal.isJson) terminal.result(accepted, () => [accepted.id]);
      if (options.watch === true) await watchAndExit([accepted.id], undefined, context, surroundings);
    });
}
