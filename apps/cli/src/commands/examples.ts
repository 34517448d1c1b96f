import { type Command } from "commander";

/** How the commands are used that say it nowhere else, by their names. */
const examples: Readonly<Record<string, readonly string[]>> = {
  show: ["genga show 0199a7b2-…", "genga show 0199a7b2-… --json | jq -r '.outputs[].links.content'"],
  why: ["genga why 0199a7b2-…"],
  "batch ls": ["genga batch ls --project opening"],
  "batch show": ["genga batch show 0199a7b2-…"],
  "batch pause": ["genga batch pause 0199a7b2-…"],
  "batch resume": ["genga batch resume 0199a7b2-…"],
  "batch priority": ["genga batch priority 0199a7b2-… low"],
  "batch again": ["genga batch again 0199a7b2-… --mark reject --new-seeds"],
  "template ls": ["genga template ls --text card"],
  "template show": ["genga template show image"],
  "template add": ["genga template add colour-card.json"],
  "template replace": ["genga template replace colour-card colour-card.json"],
  "template archive": ["genga template archive colour-card"],
  servers: ["genga servers", "genga servers drain gpu-3"],
  "servers drain": ["genga servers drain gpu-3"],
  "servers resume": ["genga servers resume gpu-3"],
  models: ["genga models --kind checkpoints loras --text anime"],
  "keys ls": ["genga keys ls"],
  "keys create": ["genga keys create render-script --tenant studio --role submit"],
  "keys revoke": ["genga keys revoke 0199a7b2-…"],
  logout: ["genga logout"],
  whoami: ["genga whoami --json | jq -r .tenant"],
};

/** Puts them behind the help of their commands. */
export function addExamples(program: Command): void {
  const visit = (command: Command, path: string): void => {
    const lines = examples[path] ?? [];
    const head = lines.length === 1 ? "Example" : "Examples";
    if (lines.length > 0)
      command.addHelpText("after", [`\n${head}:`, ...lines.map((line) => `  ${line}`)].join("\n"));
    for (const below of command.commands) visit(below, `${path} ${below.name()}`.trim());
  };
  visit(program, "");
}
