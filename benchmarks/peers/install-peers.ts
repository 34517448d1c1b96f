import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { cachedFolder } from "@genga/testing";

const run = promisify(execFile);

/** The versions that were compared with. They are no dependencies of Genga, and are installed only here. */
const nodePackages = ["@stable-canvas/comfyui-client@1.5.9", "@saintno/comfyui-sdk@0.3.1", "ws@8.20.0"];
const pythonPackages = ["comfy-api-proxy==0.1.6", "comfy-api-simplified==1.6.0"];
const installMs = 300_000;

/** Folders with the installed peers; null = they cannot be installed here. */
export interface PeerModules {
  /** Has a `node_modules`. */
  node: string | null;
  /** For PYTHONPATH. */
  python: string | null;
}

/** Installs the peers from npm and PyPI below `node_modules/.cache`, once. */
export async function peerModules(): Promise<PeerModules> {
  const kinds = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  const node = installed("npm", nodePackages, async (folder) => {
    await run("npm", ["install", "--prefix", folder, ...kinds, ...nodePackages], { timeout: installMs });
  });
  const quiet = ["--quiet", "--no-input", "--disable-pip-version-check"];
  const python = installed("pypi", pythonPackages, async (folder) => {
    const install = ["-m", "pip", "install", ...quiet, "--target", folder, ...pythonPackages];
    await run("python3", install, { timeout: installMs });
  });
  return { node: await node, python: await python };
}

async function installed(
  registry: string,
  packages: readonly string[],
  install: (folder: string) => Promise<void>,
): Promise<string | null> {
  try {
    return await cachedFolder(`peers-${registry}-${packages.join("-").replaceAll(/[^\w.-]/g, "_")}`, install);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.log(`${packages.join(", ")} cannot be installed: ${message.trim().split("\n").at(-1) ?? ""}`);
    return null;
  }
}
