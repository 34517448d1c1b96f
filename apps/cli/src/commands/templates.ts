import { type Command } from "commander";
import { contextOf, type Surroundings } from "../command-context.ts";
import { checkedJson, readText } from "../submission/json-text.ts";
import { safeText } from "../terminal/safe-text.ts";
import { tableOf } from "../terminal/table.ts";

/** `template ls | show | add | archive`. */
export function addTemplates(program: Command, surroundings: Surroundings): void {
  const template = program.command("template").description("list, show and store templates");
  template
    .command("ls")
    .description("list the templates that can be used, 200 at most")
    .option("--text <text>", "a part of the name or the description")
    .action(async ({ text }: { text?: string }, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const query = { limit: 200, ...(text !== undefined && { text }) };
      const { data } = await client.http.GET("/api/anime/templates", { params: { query }, signal });
      terminal.result(data, () =>
        tableOf(data?.templates ?? [], [
          ["NAME", ({ name }) => name],
          ["VERSION", ({ version }) => version],
          ["DESCRIPTION", ({ description, isBuiltIn }) => description ?? (isBuiltIn ? "built in" : "")],
        ]),
      );
      if (typeof data?.nextCursor === "string") terminal.note("There are more; choose by --text.");
    });
  template
    .command("show")
    .description("show the parameters of a template")
    .argument("<name>")
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const { data } = await client.http.GET("/api/anime/templates/{name}", {
        params: { path: { name } },
        signal,
      });
      terminal.result(data, () => [
        safeText(`${name}, version ${data?.version ?? ""}${descriptionOf(data)}`),
        ...tableOf(Object.entries(data?.parameters ?? {}), [
          ["PARAMETER", ([parameter]) => parameter],
          ["TYPE", ([, { type }]) => type],
          ["NEEDED", ([, { isRequired }]) => (isRequired ? "yes" : "no")],
          ["DEFAULT", ([, { default: value }]) => (value === undefined ? "" : JSON.stringify(value))],
          ["DESCRIPTION", ([, { label, description }]) => description ?? label ?? ""],
        ]),
      ]);
    });
  addStoring(template, surroundings);
}

function addStoring(template: Command, surroundings: Surroundings): void {
  template
    .command("add")
    .description("store a new template from a file")
    .argument("<file>", "JSON with name, workflow and parameters; - is standard input")
    .addHelpText("after", "\nWhat stands in such a file: docs/templates.md.")
    .action(async (file: string, _options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const text = checkedJson(await readText(file, signal), file);
      const init = { body: {} as never, bodySerializer: () => text, signal };
      const { data } = await client.http.POST("/api/anime/templates", init);
      terminal.result(data, () => [storedText(data)]);
    });
  template
    .command("replace")
    .description("store the next version of a template from a file")
    .argument("<name>")
    .argument("<file>", "JSON with workflow and parameters; - is standard input")
    .action(async (name: string, file: string, _options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      const text = checkedJson(await readText(file, signal), file);
      const init = { body: {} as never, bodySerializer: () => text, signal };
      const { data } = await client.http.PUT("/api/anime/templates/{name}", {
        params: { path: { name } },
        ...init,
      });
      terminal.result(data, () => [storedText(data)]);
    });
  template
    .command("archive")
    .description("take a template out of use; jobs keep what they were made of")
    .argument("<name>")
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, terminal, signal } = await contextOf(command, surroundings);
      await client.http.DELETE("/api/anime/templates/{name}", { params: { path: { name } }, signal });
      terminal.result({ name }, () => [safeText(`${name} is archived`)]);
    });
}

function storedText(stored: { name: string; version: number } | undefined): string {
  return safeText(`${stored?.name ?? ""}, version ${stored?.version ?? ""}`);
}

function descriptionOf(template: { description: string | null } | undefined): string {
  return typeof template?.description === "string" ? `: ${template.description}` : "";
}
