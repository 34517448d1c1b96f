import { type Command } from "commander";
import { expect, test } from "@jest/globals";
import { createProgram } from "./program.ts";

/** The commands that do something, by their names. */
function commandsOf(command: Command, path = ""): [path: string, command: Command][] {
  return command.commands.flatMap((below): [string, Command][] => {
    const name = `${path} ${below.name()}`.trim();
    const isGroup = below.commands.length > 0 && below.name() !== "servers";
    return [...(isGroup ? [] : [[name, below] as [string, Command]]), ...commandsOf(below, name)];
  });
}

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return text;
}

test("the help of every command has an example of it", () => {
  const program = createProgram({ env: {}, signal: new AbortController().signal, exitWith: () => undefined });
  const commands = commandsOf(program).filter(([path]) => !/^complet(e|ion)$/.test(path));
  expect(commands.length).toBeGreaterThan(30);
  const example = (path: string): RegExp => new RegExp(`\\n\\s+.*(genga ${path}\\b|"genga", .*"${path}")`);
  expect(
    commands.filter(([path, command]) => !example(path).test(helpOf(command))).map(([path]) => path),
  ).toEqual([]);
});
