export { createFolderStorage, FolderStorage } from "./folder-storage.ts";
export { openOutputStorage } from "./open-output-storage.ts";
export { stripMetadata } from "./strip-metadata/strip-metadata.ts";
