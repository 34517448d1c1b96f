import { type Command } from "commander";
import { contextOf, type Surroundings } from "../command-context.ts";
import { timeoutOf, watchAndExit } from "./shared.ts";

export function addWatch(program: Command, surroundings: Surroundings): void {
  program
    .command("watch")
    .description("show how far jobs and batches are, until all have ended")
    .argument("<ids...>", "of jobs or batches")
    .option("--timeout <time>", "stop watching after 90s, 15m or 2h; the jobs go on")
    .addHelpText(
      "after",
      `
Ends with 0 if everything has completed, with 1 if not. With --json, a line for each new state.

Examples:
  genga watch 0199a7b2-…
  genga watch $(genga ls --status processing --json | jq -r '.jobs[].id') --timeout 2h`,
    )
    .action(async (ids: string[], { timeout }: { timeout?: string }, command: Command) => {
      const context = await contextOf(command, surroundings);
      await watchAndExit([...new Set(ids)], timeoutOf(timeout), context, surroundings);
    });
}
