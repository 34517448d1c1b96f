import { randomUUID } from "node:crypto";
import { type AcceptedBatch } from "@genga/client";
import { type Command, Option } from "commander";
import { contextOf, type Surroundings } from "../command-context.ts";
import { doingText } from "../following/states.ts";
import { identified } from "../following/things.ts";
import { tableOf } from "../terminal/table.ts";
import { sinceText } from "../terminal/times.ts";
import { batchLines } from "./look.ts";
import { countOf } from "./shared.ts";

/** `batch ls | show | pause | resume | priority | again`. Cancelling and retrying take the ids of batches too. */
export function addBatches(program: Command, surroundings: Surroundings): void {
  const batch = program.command("batch").description("list and steer batches");
  batch
    .command("ls")
    .description("list batches, newest first")
    .option("--project <name>")
    .option("--limit <count>", "at most so many, up to 100", "20")
    .action(async ({ project, limit }: { project?: string; limit: string }, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const query = { limit: countOf("--limit", limit, 100), ...(project !== undefined && { project }) };
      const { data } = await client.http.GET("/api/anime/batches", { params: { query }, signal });
      terminal.result(data, () =>
        tableOf(data?.batches ?? [], [
          ["ID", ({ id }) => id],
          ["JOBS", ({ total }) => total],
          ["%", ({ percent }) => Math.floor(percent)],
          ["AGE", ({ createdAt }) => sinceText(createdAt)?.replace(" ago", "")],
          ["NAME", ({ name }) => name],
        ]),
      );
    });
  batch
    .command("show")
    .description("show how a batch stands, and its first errors")
    .argument("<id>")
    .action(async (id: string, _options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const found = await client.batch(id, { signal });
      terminal.result(found, () => batchLines(found));
    });
  for (const [name, description] of [
    ["pause", "begin no further job; what runs goes on"],
    ["resume", "go on with a paused batch"],
  ] as const)
    batch
      .command(name)
      .description(description)
      .argument("<id>")
      .action(async (id: string, _options: unknown, command: Command) => {
        const { client, terminal, signal } = await contextOf(command, surroundings);
        await client.http.POST(`/api/anime/batches/{id}/${name}`, { params: { path: { id } }, signal });
        const found = await client.batch(id, { signal });
        terminal.result(found, () => [doingText(found)]);
      });
  addChanges(batch, surroundings);
}

function addChanges(batch: Command, surroundings: Surroundings): void {
  batch
    .command("priority")
    .description("change the priority of the jobs that wait")
    .argument("<id>")
    .argument("<priority>", "urgent, high, normal or low")
    .action(async (id: string, priority: string, _options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const { data } = await client.http.POST("/api/anime/batches/{id}/priority", {
        params: { path: { id } },
        body: { priority: priority as "normal" },
        signal,
      });
      terminal.result(data, () => [`${id} is ${priority} now`]);
    });
  batch
    .command("again")
    .description("submit the jobs of a batch again, all or those with a mark")
    .argument("<id>")
    .addOption(new Option("--mark <mark>", "only these").choices(["pick", "reject", "none"]))
    .option("--new-seeds", "with other seeds")
    .option("--name <name>", "of the new batch")
    .action(async (id: string, options: AgainOptions, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const { data } = await client.http.POST("/api/anime/batches/{id}/rerun", {
        params: { path: { id }, header: { "Idempotency-Key": randomUUID() } },
        body: options,
        signal,
      });
      const accepted = identified(data as AcceptedBatch | undefined);
      terminal.result(accepted, () => [accepted.id]);
    });
}

interface AgainOptions {
  readonly mark?: "pick" | "reject" | "none";
  readonly newSeeds?: boolean;
  readonly name?: string;
}
