// Generates the types of the API's paths and schemas into packages/client/src/generated (`npm run generate`), from the OpenAPI
// document that this checkout's API serves.
//
//   node packages/client/generate.mjs            writes the file, unless it is up to date
//   node packages/client/generate.mjs --check    compares the file with the document, and fails where they differ
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { entry, generatedFolder, isCurrent, launcher, markCurrent, typesFile } from "./generated-types.mjs";

const isCheck = process.argv.includes("--check");

/** The API is asked in a process of its own, since this package may import nothing of it. */
function describedApi() {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, entry], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`The OpenAPI document could not be made:\n${stderr}`);
  return JSON.parse(stdout);
}

/** Objects whose names are known become types with these names; the generator knows only lists of properties. */
function withNames(part) {
  if (typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map(withNames);
  const { propertyNames, additionalProperties, ...rest } = part;
  const names = propertyNames?.enum;
  const isRecord = Array.isArray(names) && typeof additionalProperties === "object";
  if (isRecord) {
    const properties = Object.fromEntries(names.map((name) => [name, withNames(additionalProperties)]));
    return { ...rest, properties };
  }
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, withNames(value)]));
}

/** The types of the document, with a head that says where they come from. */
async function typesOf(document) {
  // Imported only here, since most calls find that there is nothing to do.
  const { default: openapiTypeScript, astToString } = await import("openapi-typescript");
  const nodes = await openapiTypeScript(withNames(document), { defaultNonNullable: false });
  return `// Made by packages/client/generate.mjs from the OpenAPI document. Do not edit.\n${astToString(nodes)}`;
}

if (isCheck) {
  if (readFileSync(typesFile, "utf8") !== (await typesOf(describedApi()))) {
    console.error("The client's types are not those of the OpenAPI document. Run `npm run generate`.");
    process.exitCode = 1;
  }
} else if (!isCurrent()) {
  const types = await typesOf(describedApi());
  mkdirSync(generatedFolder, { recursive: true });
  writeFileSync(typesFile, types);
  markCurrent();
}
