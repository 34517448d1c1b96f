import { z } from "zod";

/** Makes a rule about several fields run as soon as those fields are valid, even if other fields are not. */
export function whenValid(fields: z.core.$ZodLooseShape): {
  when: (payload: { value: unknown }) => boolean;
} {
  const schema = z.object(fields);
  return { when: ({ value }) => schema.safeParse(value).success };
}

/** A file in one of a server's model folders, as the server lists it (subfolders included). */
export const modelFile = z.string().min(1).max(255);

/** The id that `POST uploads` answered with. */
export const uploadId = z.uuid({ error: "must be the id of an upload" });
