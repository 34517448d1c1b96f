import { type Command } from "commander";
import { contextOf, type Surroundings } from "../command-context.ts";
import { UsageError } from "../terminal/exit-codes.ts";
import { safeText } from "../terminal/safe-text.ts";
import { tableOf } from "../terminal/table.ts";
import { sinceText } from "../terminal/times.ts";
import { countOf } from "./shared.ts";

/** `servers` and `models`. */
export function addFarm(program: Command, surroundings: Surroundings): void {
  const servers = program
    .command("servers")
    .description("list the ComfyUI servers; drain and resume them")
    .action(async (_options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const { data } = await client.http.GET("/api/anime/servers", { signal });
      terminal.result(data, () =>
        tableOf(data?.servers ?? [], [
          ["NAME", ({ name }) => name],
          ["STATE", ({ state, draining }) => (draining ? `${state}, draining` : state)],
          ["JOBS", ({ jobsHeld, slots }) => (slots === undefined ? null : `${jobsHeld ?? 0}/${slots}`)],
          ["FOR", ({ stateSince }) => sinceText(stateSince)?.replace(" ago", "")],
          ["VERSION", ({ version }) => version],
          ["URL", ({ url }) => url],
          ["REASON", ({ stateReason }) => stateReason ?? ""],
        ]),
      );
    });
  for (const [name, description, done] of [
    ["drain", "give a server no more jobs; what it has ends there", "gets no more jobs"],
    ["resume", "give a drained server jobs again", "gets jobs again"],
  ] as const)
    servers
      .command(name)
      .description(description)
      .argument("<server>", "its name or id")
      .action(async (server: string, _options: unknown, command: Command) => {
        const { client, terminal, signal } = await contextOf(command, surroundings);
        const { data: all } = await client.http.GET("/api/anime/servers", { signal });
        const found = all?.servers.filter((each) => each.name === server || each.id === server) ?? [];
        const [one] = found;
        if (one === undefined || found.length > 1)
          throw new UsageError(
            `there ${one === undefined ? "is no server" : "are several servers"} ${server}; \`genga servers\` lists their names and \`--json\` their ids.`,
          );
        const { data } = await client.http.POST(`/api/anime/servers/{id}/${name}`, {
          params: { path: { id: one.id } },
          signal,
        });
        terminal.result(data, () => [safeText(`${one.name} ${done}`)]);
      });
  program
    .command("models")
    .description("list the checkpoints, LoRAs and so on that the servers have")
    .option("--kind <kind...>", "checkpoints, loras, vae, samplers, …")
    .option("--text <text>", "a part of the name")
    .option("--limit <count>", "at most so many, up to 500", "100")
    .action(async (options: { kind?: string[]; text?: string; limit: string }, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const { kind, text } = options;
      const query = {
        limit: countOf("--limit", options.limit, 500),
        ...(kind !== undefined && { kind: kind as "loras"[] }),
        ...(text !== undefined && { text }),
      };
      const { data } = await client.http.GET("/api/anime/models", { params: { query }, signal });
      terminal.result(data, () =>
        tableOf(data?.models ?? [], [
          ["KIND", (model) => model.kind],
          ["NAME", (model) => model.name],
          ["SERVERS", (model) => model.serversCount],
        ]),
      );
      if (typeof data?.nextCursor === "string") terminal.note("There are more; choose by --kind or --text.");
    });
}
