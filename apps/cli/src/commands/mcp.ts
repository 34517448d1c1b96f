import { type Command } from "commander";
import { contextOf, type Surroundings } from "../command-context.ts";

export function addMcp(program: Command, surroundings: Surroundings): void {
  program
    .command("mcp")
    .description("serve agents on standard input and output (Model Context Protocol)")
    .addHelpText(
      "after",
      `
Tools: list_templates, list_models, list_jobs, show_job, look_at_output, submit_job, watch_job, cancel_job. They may what the key may.

Example, in an agent's configuration:
  {"mcpServers": {"genga": {"command": "npx", "args": ["genga", "mcp"], "env": {"GENGA_API_KEY": "…"}}}}`,
    )
    .action(async (_options: unknown, command: Command) => {
      const { client, signal } = await contextOf(command, surroundings);
      // Loaded only here: the other commands start without it.
      const { serveAgents } = await import("../agents/agent-server.ts");
      await serveAgents(client, signal);
    });
}
