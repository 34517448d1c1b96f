/**
 * The thread of `folder-remover.ts`: removes the folders of many jobs by plain calls, one after the other. It takes away what
 * it knows for certain, files of ours in folders of leases, and tells which folders are still there.
 */
import { lstatSync, readdirSync, realpathSync, rmdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";

const leaseFolder = /^\d+-\d+$/;

parentPort?.on("message", ({ id, parent, names }) => {
  parentPort?.postMessage({ id, left: names.filter((name) => !isRemoved(parent, name)) });
});

function isRemoved(parent, name) {
  const folder = join(parent, name);
  try {
    // Behind a symbolic link may be anything.
    if (realpathSync(parent) !== parent || !lstatSync(folder).isDirectory()) return false;
    for (const lease of readdirSync(folder, { withFileTypes: true })) {
      if (lease.isDirectory() && leaseFolder.test(lease.name)) removeFilesIn(join(folder, lease.name));
    }
    rmdirSync(folder);
    return true;
  } catch (error) {
    return error.code === "ENOENT" && error.path === folder;
  }
}

function removeFilesIn(folder) {
  for (const file of readdirSync(folder, { withFileTypes: true })) {
    if (file.isFile() && !file.name.startsWith(".")) unlinkSync(join(folder, file.name));
  }
  rmdirSync(folder);
}
