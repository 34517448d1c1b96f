// The first thing that runs in a fresh clone: `npm start`, `npm run demo`, `npm test` and the others all come through
// here. It installs what is missing, generates the database client and, for development, the types of the API's client, and
// then hands over. Only Node's own modules: nothing else may be there yet.
//
//   node apps/standalone/bootstrap.mjs install | start | demo | test | … [arguments]
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { buildPages, isBuilt } from "../dashboard/build.mjs";
import { isCurrent } from "../../packages/client/generated-types.mjs";

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const entries = {
  start: "apps/standalone/src/main.ts",
  demo: "apps/standalone/src/main.ts",
  test: "apps/standalone/src/testing/test-main.ts",
  api: "apps/api/src/main.ts",
  worker: "apps/worker/src/main.ts",
  "worker:drain": "apps/worker/src/draining/drain-main.ts",
  simulator: "packages/comfyui-simulator/src/main.ts",
  migrate: "packages/database/src/migrations/migrate-main.ts",
  keys: "apps/standalone/src/keys/keys-main.ts",
  retention: "apps/worker/src/sweeping/retention-main.ts",
  "test:conformance": "packages/comfyui-simulator/test/conformance/conformance-main.ts",
  chaos: "packages/chaos/src/chaos-main.ts",
  simulate: "apps/standalone/src/simulation/simulate-main.ts",
  screenshots: "apps/dashboard/test/screenshots-main.ts",
  "check:templates": "packages/comfyui-templates/src/check-templates-main.ts",
  bench: "benchmarks/table/bench-main.ts",
  "bench:soak": "benchmarks/table/bench-main.ts",
  "bench:accept": "benchmarks/accept.ts",
  "bench:accept-single": "benchmarks/accept-single.ts",
  "bench:chains": "benchmarks/chains-cost.ts",
  "bench:memory": "benchmarks/memory.ts",
  "bench:peers": "benchmarks/peers.ts",
  "bench:clients": "benchmarks/clients.ts",
  "bench:depth": "benchmarks/depth.ts",
  "bench:farm": "benchmarks/farm.ts",
  "bench:processes": "benchmarks/processes.ts",
  "bench:history": "benchmarks/history.ts",
  "bench:idle-gap": "benchmarks/idle-gap.ts",
  "bench:latency": "benchmarks/latency.ts",
  "bench:lanes": "benchmarks/lanes.ts",
  "bench:fairness": "benchmarks/fairness.ts",
  "bench:overhead": "benchmarks/overhead.ts",
  "bench:overhead-real": "benchmarks/overhead-real.ts",
  "bench:page": "benchmarks/page.ts",
  "bench:pipeline": "benchmarks/pipeline.ts",
  "bench:progress": "benchmarks/progress.ts",
  "bench:progress-state": "benchmarks/progress-state.ts",
  "bench:recovery": "benchmarks/recovery.ts",
  "bench:retention": "benchmarks/retention.ts",
  "bench:streams": "benchmarks/streams.ts",
  "bench:startup": "benchmarks/startup.ts",
  "bench:zip": "benchmarks/zip.ts",
  "trial:chains": "benchmarks/chains.ts",
};
/** Commands whose API shows the dashboard. */
const showing = new Set(["start", "demo", "api", "test", "screenshots", "bench", "bench:soak", "bench:page"]);
/** What distinguishes commands of one entry. */
const flags = { demo: ["--demo"], "bench:soak": ["--soak"] };
/** Commands that need the development tools too. */
const developing = new Set([
  "install",
  "test",
  "test:conformance",
  "chaos",
  "check:templates",
  "screenshots",
  "bench",
  "bench:soak",
  "bench:accept",
  "bench:accept-single",
  "bench:chains",
  "bench:memory",
  "bench:peers",
  "bench:clients",
  "bench:depth",
  "bench:farm",
  "bench:processes",
  "bench:history",
  "bench:idle-gap",
  "bench:latency",
  "bench:lanes",
  "bench:fairness",
  "bench:overhead",
  "bench:overhead-real",
  "bench:page",
  "bench:pipeline",
  "bench:progress",
  "bench:progress-state",
  "bench:recovery",
  "bench:retention",
  "bench:startup",
  "bench:zip",
  "trial:chains",
]);

const [command = "start", ...args] = process.argv.slice(2);

try {
  requireNode(20, 19);
  await exclusively(async () => {
    if (!isInstalled()) await install();
    if (!isGenerated()) await generate();
    // Nothing that runs needs types.
    if (developing.has(command) && !isCurrent()) await generateTypes();
    if (showing.has(command) && !isBuilt()) await buildDashboard();
  });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
if (command !== "install") await handOver(command);

/** Runs the command in this process, so that signals need no forwarding. */
async function handOver(name) {
  const entry = entries[name];
  if (entry === undefined)
    throw new Error(`unknown command ${name}; known: install, ${Object.keys(entries).join(", ")}`);
  process.chdir(project);
  process.argv = [process.argv[0], join(project, entry), ...(flags[name] ?? []), ...args];
  const { importCompiled } = await import("../../packages/runtime/src/launch/import-compiled.mjs");
  await importCompiled(pathToFileURL(join(project, entry)));
}

function requireNode(major, minor) {
  const [haveMajor, haveMinor] = process.versions.node.split(".").map(Number);
  if (haveMajor > major || (haveMajor === major && haveMinor >= minor)) return;
  throw new Error(`Genga needs Node ${major}.${minor} or newer; this is ${process.versions.node}.`);
}

/** Whether node_modules holds the packages of package-lock.json: npm writes its own list of the installed packages. */
function isInstalled() {
  const list = join(project, "node_modules", ".package-lock.json");
  if (!existsSync(list)) return false;
  const wanted = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8")).packages;
  const present = JSON.parse(readFileSync(list, "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, optional, devOptional, dev }]) => {
    if (path === "") return true;
    if (present[path] !== undefined) return present[path].version === version;
    return Boolean(optional || devOptional || (dev && !developing.has(command)));
  });
}

async function install() {
  const isFresh = !existsSync(join(project, "node_modules"));
  // Installs exactly the packages of the lock file. If some are installed already, npm installs only the difference.
  const how = isFresh ? ["ci"] : ["install", "--no-save"];
  console.log(
    `installing what package-lock.json names (npm ${how.join(" ")}); this takes about half a minute`,
  );
  const kinds = ["--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"];
  // npm passes its own path to the scripts that it runs; otherwise the npm on the PATH is used.
  const npm = process.env.npm_execpath?.endsWith(".js")
    ? [process.execPath, process.env.npm_execpath]
    : ["npm"];
  await run([...npm, ...how, ...kinds]);
}

function isGenerated() {
  const marker = generatedMarker();
  return existsSync(marker) && readFileSync(marker, "utf8") === schemaHash();
}

async function generate() {
  console.log("generating the database client");
  await run([process.execPath, join(project, "prisma", "generate.mjs")], { quiet: true });
  writeFileSync(generatedMarker(), schemaHash());
}

async function generateTypes() {
  console.log("generating the types of the API's client");
  await run([process.execPath, join(project, "packages", "client", "generate.mjs")], { quiet: true });
}

/** An API without its pages is still an API, so where the tools for them are not installed, it starts without them. */
async function buildDashboard() {
  if (!existsSync(join(project, "node_modules", "vite"))) {
    console.log(
      "the dashboard is not built: its tools are not installed (npm ci --include=dev installs them)",
    );
    return;
  }
  console.log("building the dashboard");
  await buildPages();
}

function generatedMarker() {
  return join(project, "packages", "database", "src", "generated", ".made-from");
}

function schemaHash() {
  const prisma = readFileSync(join(project, "node_modules", "prisma", "package.json"), "utf8");
  const schema = readFileSync(join(project, "prisma", "schema.prisma"), "utf8");
  return createHash("sha256")
    .update(`${JSON.parse(prisma).version}\n${schema}`)
    .digest("hex");
}

/** Runs a program to its end; the output of a quiet program is shown only if it fails. */
async function run([program, ...rest], { quiet = false } = {}) {
  const child = spawn(program, rest, { cwd: project, stdio: ["ignore", quiet ? "pipe" : "inherit", "pipe"] });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => said.push(chunk));
  const status = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (status !== 0) {
    throw new Error(`${program} ${rest.join(" ")} failed:\n${Buffer.concat(said).toString()}`);
  }
}

/** Lets one process at a time change the installation; the others wait until it is done. */
async function exclusively(work) {
  mkdirSync(join(project, ".genga"), { recursive: true });
  const lock = join(project, ".genga", "install.lock");
  let hasSaidSo = false;
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const holder = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0;
    if (holder > 0 && !isAlive(holder)) {
      rmSync(lock, { force: true });
      continue;
    }
    if (!hasSaidSo) console.log(`waiting for process ${holder}, which is installing`);
    hasSaidSo = true;
    await delay(100);
  }
  try {
    await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
