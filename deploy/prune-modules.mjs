// Run while the image is built (deploy/Dockerfile), after `npm ci --omit=dev` and `npm run generate`: leaves in node_modules
// what the API, the workers and the commands load, and puts what only the simulator loads into a folder of its own.
// Only Node's own modules.
//
//   node deploy/prune-modules.mjs <project folder> <folder of the simulator>
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Packages of the root manifest that the services do without: Prisma's command line has generated the client by then, of
 * Redoc one finished file is used, no service is a client of the API, and pictures and videos are drawn by the simulator alone.
 */
const leftOut = JSON.parse(readFileSync(new URL("left-out.json", import.meta.url), "utf8"));
const onlyWhileBuilding = new Set(leftOut.onlyWhileBuilding);
const onlyForClients = new Set(leftOut.onlyForClients);
const onlyForSimulator = new Set(leftOut.onlyForSimulator);
/** Read by the API itself (apps/api/src/documentation/documents.ts); its licence goes with it. */
const redocFiles = new Set(["package.json", "LICENSE", "bundles/redoc.standalone.js"]);
/** Read by compilers and debuggers only. */
const typesOrMap = /\.(map|d\.[cm]?ts)$/;
/** What packages bring along of their own tests. The name of a package may itself be such a word. */
const testsOfPackages =
  /(?<=\/)(?<!(^|node_modules\/)(@[^/]+\/)?)(tests?|__tests__|benchmarks?)\/|\.test\.[cm]?[jt]sx?$/;
/** The client that `prisma/generate.mjs` writes asks for the fast compiler of PostgreSQL as an ES module. */
const unusedPrisma =
  /^(query_compiler_(?!fast_bg\.postgresql\.(wasm-base64\.)?mjs$)|wasm-compiler-edge|index-browser\.js)/;

const [project, simulator] = process.argv.slice(2);
if (project === undefined || simulator === undefined) {
  throw new Error("usage: node deploy/prune-modules.mjs <project folder> <folder of the simulator>");
}
/** What npm says that it installed: path → its manifest. */
const installed = JSON.parse(
  readFileSync(join(project, "node_modules", ".package-lock.json"), "utf8"),
).packages;
const wanted = Object.keys(JSON.parse(readFileSync(join(project, "package.json"), "utf8")).dependencies);

const forServices = closure(
  wanted.filter(
    (name) => !onlyWhileBuilding.has(name) && !onlyForClients.has(name) && !onlyForSimulator.has(name),
  ),
);
const forSimulator = closure(wanted.filter((name) => onlyForSimulator.has(name)));

for (const path of Object.keys(installed)) {
  // Links to our own packages are not what this is about; a folder may have gone with the one around it.
  if (!path.startsWith("node_modules/") || installed[path].link || !existsSync(join(project, path))) continue;
  if (forServices.has(path)) continue;
  if (forSimulator.has(path)) move(path);
  else if (path === "node_modules/redoc") keepOnly(path, (file) => redocFiles.has(file));
  else keepOnly(path, (file) => file.startsWith("node_modules/"));
}
rmSync(join(project, "node_modules", ".bin"), { recursive: true, force: true });
keepOnly("node_modules", (file) => !typesOrMap.test(file) && !testsOfPackages.test(file));
keepOnly("node_modules/@prisma/client/runtime", (file) => !unusedPrisma.test(file));

/** Every installed package that these need, by the way Node looks for it: nearest `node_modules` first. */
function closure(names) {
  const found = new Set();
  const visit = (name, from, isOptional) => {
    const path = resolve(name, from);
    if (path === undefined) {
      // Binaries for other machines are not there; anything else that is missing must not come out in production.
      if (isOptional) return;
      throw new Error(`${name}, which ${from || "the project"} needs, is not installed`);
    }
    if (found.has(path)) return;
    found.add(path);
    const {
      dependencies = {},
      optionalDependencies = {},
      peerDependencies = {},
      peerDependenciesMeta = {},
    } = installed[path];
    for (const need of Object.keys(dependencies)) visit(need, path, need in optionalDependencies);
    for (const need of Object.keys(optionalDependencies)) visit(need, path, true);
    for (const need of Object.keys(peerDependencies)) {
      if (peerDependenciesMeta[need]?.optional !== true) visit(need, path, false);
    }
  };
  for (const name of names) visit(name, "", false);
  return found;
}

function resolve(name, from) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    const path = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (path in installed) return path;
    if (folder === "") return undefined;
  }
}

function move(path) {
  const target = join(simulator, path);
  mkdirSync(dirname(target), { recursive: true });
  renameSync(join(project, path), target);
}

/** Removes every file of a folder that is not to stay, and the folders that are empty then. Links stay. */
function keepOnly(folder, stays) {
  const visit = (relative) => {
    let left = 0;
    for (const entry of readdirSync(join(project, folder, relative), { withFileTypes: true })) {
      const path = relative === "" ? entry.name : `${relative}/${entry.name}`;
      if (entry.isDirectory() ? visit(path) > 0 : entry.isSymbolicLink() || stays(path)) left += 1;
      else rmSync(join(project, folder, path), { recursive: true, force: true });
    }
    return left;
  };
  if (existsSync(join(project, folder)) && visit("") === 0)
    rmSync(join(project, folder), { recursive: true });
}
