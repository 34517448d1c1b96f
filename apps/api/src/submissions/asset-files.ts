import { uploadName, type AssetFinder, type TenantJobReader } from "@genga/jobs";

/** What an asset stands for in a graph: an upload, by its name there, or an output of another job. */
export type AssetFile = { kind: "upload"; name: string } | { kind: "output"; from: string; output: number };

/**
 * What ids of assets stand for, among those of a tenant. Texts that jobs made are no files, and are not found.
 * @param ids in lower case
 */
export async function findAssetFiles(
  ids: readonly string[],
  { assets, jobs, tenantId }: { assets: AssetFinder; jobs: TenantJobReader; tenantId: string },
): Promise<ReadonlyMap<string, AssetFile>> {
  const files = new Map<string, AssetFile>();
  for (const { id, upload } of await assets.findAssets(tenantId, [...ids]))
    files.set(id, { kind: "upload", name: uploadName(upload) });
  const others = ids.filter((id) => !files.has(id));
  const outputs = others.length === 0 ? [] : await jobs.findOutputs(others);
  for (const { id, kind, jobId, index } of outputs)
    if (kind === "file") files.set(id, { kind: "output", from: jobId, output: index });
  return files;
}
