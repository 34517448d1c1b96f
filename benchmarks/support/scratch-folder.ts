import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A new folder for one run. PostgreSQL can enter it also where root starts it as another user; otherwise its data would be put
 * elsewhere, and stay there.
 */
export async function makeScratchFolder(prefix = "genga-bench-"): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  await chmod(folder, 0o755);
  return folder;
}
