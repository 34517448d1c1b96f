export { createFolderStorage, FolderStorage } from "./folder-storage.ts";
export { openOutputStorage } from "./open-output-storage.ts";
