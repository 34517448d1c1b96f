import { InvalidJobError } from "@genga/jobs";
import { validate } from "uuid";

/** A page ends at a job. The cursor is the id of that job, in 22 characters that mean nothing to a client. */
export function encodeCursor(jobId: string): string {
  return Buffer.from(jobId.replaceAll("-", ""), "hex").toString("base64url");
}

/** @throws InvalidJobError with the path `cursor` */
export function decodeCursor(cursor: string): string {
  const bytes = Buffer.from(cursor, "base64url");
  if (bytes.length === 16 && bytes.toString("base64url") === cursor) {
    const hex = bytes.toString("hex");
    const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    if (validate(id)) return id;
  }
  throw new InvalidJobError([
    {
      path: "cursor",
      code: "invalid-cursor",
      message: "The cursor is not the nextCursor of a page of jobs.",
      received: cursor,
    },
  ]);
}
