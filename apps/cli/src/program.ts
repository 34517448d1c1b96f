import { readFileSync } from "node:fs";
import tab from "@bomb.sh/tab/commander";
import { Command } from "commander";
import { z } from "zod";
import { type Surroundings } from "./command-context.ts";
import { addActing } from "./commands/act.ts";
import { addBatches } from "./commands/batches.ts";
import { addExamples } from "./commands/examples.ts";
import { addFarm } from "./commands/farm.ts";
import { addGet } from "./commands/get.ts";
import { addKeys } from "./commands/keys.ts";
import { addLogin } from "./commands/login.ts";
import { addLooking } from "./commands/look.ts";
import { addMcp } from "./commands/mcp.ts";
import { addSubmit } from "./commands/submit.ts";
import { addTemplates } from "./commands/templates.ts";
import { addWatch } from "./commands/watch.ts";
import { UsageError } from "./terminal/exit-codes.ts";
import { defaultUrl } from "./settings/connection.ts";

/** That of the checkout. */
const version = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"))).version;

/** All commands of `genga`. They throw, so that one place decides about messages and exit codes. */
export function createProgram(surroundings: Surroundings): Command {
  const program = new Command("genga")
    .description("Submit image and video jobs to Genga, follow them, and fetch what they made.")
    .version(version, "--version", "say which version this is")
    .option("--url <url>", `of the API (else GENGA_URL, what \`genga login\` keeps, ${defaultUrl})`)
    .option("--json", "write results as JSON, for scripts")
    .exitOverride()
    .showHelpAfterError("(genga --help lists the commands, genga <command> --help their options)")
    .addHelpText("after", help)
    .hook("preAction", (_program, command) => {
      checkArguments(command);
    });
  addSubmit(program, surroundings);
  addWatch(program, surroundings);
  addGet(program, surroundings);
  addLooking(program, surroundings);
  addActing(program, surroundings);
  addBatches(program, surroundings);
  addTemplates(program, surroundings);
  addFarm(program, surroundings);
  addKeys(program, surroundings);
  addLogin(program, surroundings);
  addMcp(program, surroundings);
  addExamples(program);
  tab(program, { completionCommandName: "completion" });
  return program;
}

/** Below a route, an empty name is the list of all, and dots are the route above it. @throws UsageError */
function checkArguments(command: Command): void {
  for (const [at, argument] of command.registeredArguments.entries())
    for (const given of [command.processedArgs[at]].flat()) {
      if (typeof given !== "string") continue;
      if (given.trim() === "")
        throw new UsageError(`<${argument.name()}> is empty; is a variable of the script not set?`);
      if (/^\.{1,2}$/.test(given)) throw new UsageError(`${given} is no ${argument.name()}.`);
    }
}

const help = `
Results are on standard output, all else on standard error. The key is GENGA_API_KEY, or what \`genga login\` keeps.
Ends with 0; 1 not everything has completed; 2 wrong command line; 3 refused by the API; 4 the API is away; 5 --timeout is over;
130, 143, 129 ended by Ctrl-C, SIGTERM, SIGHUP. Jobs go on when a command ends.

Examples:
  genga login https://genga.example
  id=$(genga submit --prompt "a lighthouse at dawn") && genga watch $id && genga get $id
  genga ls --status failed --json | jq -r '.jobs[].id'
  source <(genga completion bash)      also zsh, fish and powershell`;
