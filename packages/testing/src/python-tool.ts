import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { cachedFolder } from "./tool-cache.ts";

const run = promisify(execFile);

/** A program from PyPI that can be run on this machine. */
export interface PythonTool {
  /** Runs the program to its end; returns all its output, and whether it succeeded. */
  run(
    args: readonly string[],
    options?: { signal?: AbortSignal; env?: Readonly<Record<string, string>>; cwd?: string },
  ): Promise<{ code: number | null; said: string }>;
}

/**
 * Installs a program from PyPI into a folder of its own, once for each set of requirements and version of Python.
 * @param options.entry `module:function` of a program in Python, from the package's entry points; without it, the program
 * is one that the package brings along in its folder `bin`, under the name `name`
 * @param options.script the path of a program in Python that imports what was installed
 * @returns the reason if it cannot be installed, for the name of the skipped test
 */
export async function findPythonTool(options: {
  name: string;
  requirements: string;
  entry?: string;
  script?: string;
}): Promise<PythonTool | { readonly reason: string }> {
  const { name, requirements, entry, script } = options;
  try {
    const { stdout } = await run("python3", ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    const hash = createHash("sha256")
      .update(await readFile(requirements))
      .digest("hex");
    const folder = await cachedFolder(`${name}-${stdout.trim()}-${hash.slice(0, 12)}`, async (draft) => {
      // A virtual environment contains the name of its own folder; a plain folder can be renamed.
      const install = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
      await run("python3", [...install, "--target", draft, "--requirement", requirements], {
        timeout: 180_000,
      });
    });
    const own = entry === undefined ? [join(folder, "bin", name)] : pythonCommand(name, entry);
    const command = script === undefined ? own : ["python3", script];
    return { run: (args, how = {}) => runTool([...command, ...args], folder, how) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const lines = message.trim().split("\n");
    return { reason: `PyPI's ${name} cannot be installed: ${lines.at(-1)?.slice(0, 200) ?? ""}` };
  }
}

function pythonCommand(name: string, entry: string): string[] {
  const [module = "", program = ""] = entry.split(":");
  const script = `import sys; sys.argv[0] = ${JSON.stringify(name)}; from ${module} import ${program}; sys.exit(${program}())`;
  return ["python3", "-c", script];
}

async function runTool(
  [program = "", ...args]: readonly string[],
  folder: string,
  { signal, env = {}, cwd }: NonNullable<Parameters<PythonTool["run"]>[1]>,
): Promise<{ code: number | null; said: string }> {
  const { PYTHONPATH: inherited } = process.env;
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PYTHONPATH: [folder, ...(inherited === undefined ? [] : [inherited])].join(delimiter),
      PYTHONDONTWRITEBYTECODE: "1",
      COLUMNS: "150",
      ...env,
    },
    cwd: cwd ?? folder,
    ...(signal && { signal }),
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, said };
}
