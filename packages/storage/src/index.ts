export { createFolderStorage, FolderStorage } from "./folder-storage.ts";
export { openOutputStorage } from "./open-output-storage.ts";
export { requireWhole } from "./whole-file.ts";
export { renameInMetadata, stripMetadata } from "./strip-metadata/strip-metadata.ts";
