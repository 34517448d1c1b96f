import { type FeedCursor } from "@genga/jobs";
import { parse, stringify } from "uuid";

/** Of how many jobs a cursor names events that were delivered before they had positions; so its text stays below 1 kB. */
export const aheadMax = 32;

/** `<position>`, then `.<job>-<sequence>` for each job of which more was delivered; the job's id is 22 characters of base64url. */
const cursorPattern = /^(0|[1-9]\d{0,17})((?:\.[\w-]{22}-[1-9]\d{0,8})*)$/;

/** A cursor as the id of a server-sent event, which a client sends back to resume. */
export function textOfCursor({ position, ahead }: FeedCursor): string {
  const jobs = [...ahead].map(([jobId, sequence]) => {
    return `.${Buffer.from(parse(jobId)).toString("base64url")}-${sequence}`;
  });
  return `${position}${jobs.join("")}`;
}

/** `null` = no cursor. */
export function cursorOfText(text: unknown): FeedCursor | null {
  if (typeof text !== "string") return null;
  const [, position, jobs = ""] = cursorPattern.exec(text) ?? [];
  if (position === undefined) return null;
  const ahead = jobs.split(".").slice(1, aheadMax + 1);
  return { position: BigInt(position), ahead: new Map(ahead.flatMap(jobAhead)) };
}

function jobAhead(text: string): [jobId: string, sequence: number][] {
  const bytes = Buffer.from(text.slice(0, 22), "base64url");
  try {
    return [[stringify(bytes), Number(text.slice(23))]];
  } catch {
    return []; // No UUID.
  }
}
