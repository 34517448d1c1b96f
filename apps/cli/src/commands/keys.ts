import { type Command, Option } from "commander";
import { contextOf, type Surroundings } from "../command-context.ts";
import { safeText } from "../terminal/safe-text.ts";
import { tableOf } from "../terminal/table.ts";
import { sinceText } from "../terminal/times.ts";

const roles = ["read", "submit", "operate"] as const;

/** `keys ls | create | revoke`, for operators. */
export function addKeys(program: Command, surroundings: Surroundings): void {
  const keys = program.command("keys").description("list, make and revoke API keys");
  keys
    .command("ls")
    .description("list the keys; the keys themselves are kept nowhere")
    .action(async (_options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const { data } = await client.http.GET("/api/anime/keys", { signal });
      terminal.result(data, () =>
        tableOf(data?.keys ?? [], [
          ["ID", ({ id }) => id],
          ["NAME", ({ name }) => name],
          ["TENANT", ({ tenant }) => tenant],
          ["ROLE", ({ role }) => role],
          ["USED", ({ lastUsedAt }) => sinceText(lastUsedAt) ?? "never"],
          ["STATE", ({ revokedAt }) => (revokedAt === null ? "valid" : "revoked")],
        ]),
      );
    });
  keys
    .command("create")
    .description("make a key; it is shown this once")
    .argument("<name>", "what it is for")
    .requiredOption("--tenant <name>", "whose jobs it sees")
    .addOption(new Option("--role <role>", "what it may do").choices(roles).default("submit"))
    .action(
      async (name: string, options: { tenant: string; role: (typeof roles)[number] }, command: Command) => {
        const { client, terminal, signal } = await contextOf(command, surroundings);
        const { data } = await client.http.POST("/api/anime/keys", { body: { name, ...options }, signal });
        terminal.result(data, () => [data?.key ?? ""]);
      },
    );
  keys
    .command("revoke")
    .description("make a key worthless at once")
    .argument("<id>")
    .action(async (id: string, _options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      await client.http.DELETE("/api/anime/keys/{id}", { params: { path: { id } }, signal });
      terminal.result({ id }, () => [safeText(`${id} is revoked`)]);
    });
}
