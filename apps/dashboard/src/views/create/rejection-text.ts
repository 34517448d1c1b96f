import { type FileRejection } from "@mantine/dropzone";

/** Why files that were dropped were not taken; absent when all were. */
export function rejectionText(rejections: readonly FileRejection[]): string | undefined {
  if (rejections.length === 0) return undefined;
  const names = rejections.map(({ file }) => file.name).join(", ");
  const isOneTooMany = rejections.every(({ errors }) => errors.some(({ code }) => code === "too-many-files"));
  const reasons = rejections.flatMap(({ errors }) => errors.map(({ message }) => message)).join(", ");
  return `Not taken: ${names}. ${isOneTooMany ? "There is room for one file." : reasons}`;
}
