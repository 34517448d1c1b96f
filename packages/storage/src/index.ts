export { createFolderStorage, FolderStorage } from "./folder-storage.ts";
