import { join } from "node:path";
import { type OutputStorage } from "@genga/jobs";
import { type Logger, type ServiceConfiguration } from "@genga/runtime";
import { SignedLinks } from "./access/signed-links.ts";
import { Zips } from "./archives/zips.ts";
import { StallLimit } from "./http/stall-limit.ts";
import { ThumbnailCache } from "./thumbnails/thumbnail-cache.ts";
import { Thumbnails } from "./thumbnails/thumbnails.ts";

/** What sends files to clients. @param times.stalledMs a client that takes nothing for this long counts as gone */
export function sharingParts(
  { dataDir, secretsKeys, thumbnailCacheBytes: bytesMax, ffmpegPath }: ServiceConfiguration,
  storage: OutputStorage,
  { stalledMs }: { stalledMs: number },
  log: Logger,
): { stallLimit: StallLimit; zips: Zips; signedLinks: SignedLinks; thumbnails: Thumbnails } {
  const folder = join(dataDir, "temporary");
  const stallLimit = new StallLimit({ stalledMs, log });
  const cache = new ThumbnailCache({ folder: join(dataDir, "thumbnails"), bytesMax });
  return {
    stallLimit,
    zips: new Zips({ storage, folder, log, stallLimit }),
    signedLinks: new SignedLinks(secretsKeys),
    thumbnails: new Thumbnails({ storage, cache, folder, ffmpegPath, log }),
  };
}
