import { readUploadName, type Upload, type UploadFinder } from "@genga/jobs";
import { uploadIdsIn } from "../parameters/known-uploads.ts";
import { stringsIn } from "./named-uploads.ts";
import { Turns } from "./turns.ts";

/** At most this many names in one statement. */
const namesAtOnce = 5_000;

/**
 * Looks up the uploads that all jobs of a batch name, by their parameters or in their graphs: a statement or two for
 * thousands of jobs. The returned finder knows only those uploads.
 */
export async function lookUpUploads(
  parametersOfAll: readonly unknown[],
  store: UploadFinder,
  tenantId: string,
): Promise<UploadFinder> {
  const [ids, contents] = [new Set<string>(), new Set<string>()];
  const turns = new Turns();
  for (const parameters of parametersOfAll) {
    if (turns.isOver) await turns.next();
    for (const id of uploadIdsIn(parameters)) ids.add(id);
    for (const content of contentsIn(parameters)) contents.add(content);
  }
  const found: Upload[] = [];
  for (const part of partsOf([...ids])) found.push(...(await store.findUploads(tenantId, part)));
  for (const part of partsOf([...contents]))
    found.push(...(await store.findUploadsByContent(tenantId, part)));
  const byId = new Map(found.map((upload) => [upload.id, upload]));
  const byContent = new Map(found.map((upload) => [upload.sha256, upload]));
  const own = (tenant: string, uploads: Map<string, Upload>, names: string[]): Promise<Upload[]> =>
    Promise.resolve(tenant === tenantId ? names.flatMap((name) => uploads.get(name) ?? []) : []);
  return {
    findUploads: (tenant, names) => own(tenant, byId, names),
    findUploadsByContent: (tenant, names) => own(tenant, byContent, names),
  };
}

/**
 * The texts in a raw graph. A graph that is nested too deep is not read to its end here, because it is refused later.
 */
function contentsIn(parameters: unknown): string[] {
  if (typeof parameters !== "object" || parameters === null || !Object.hasOwn(parameters, "workflow"))
    return [];
  return stringsIn(Reflect.get(parameters, "workflow")).flatMap((text) => readUploadName(text)?.sha256 ?? []);
}

function* partsOf(names: string[]): Generator<string[]> {
  for (let start = 0; start < names.length; start += namesAtOnce)
    yield names.slice(start, start + namesAtOnce);
}
