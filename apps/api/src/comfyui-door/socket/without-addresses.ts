import { type DoorMessage } from "@genga/jobs";

export interface ErrorTexts {
  /** The `execution_error` of a server, as clients may read it. */
  shownError: (message: string) => Promise<string>;
}

/** The same messages, without addresses of servers in errors. Most have no error, and none of these waits for anything. */
export async function withoutAddresses(
  messages: readonly DoorMessage[],
  texts: ErrorTexts,
): Promise<readonly DoorMessage[]> {
  const shown = [...messages];
  for (const [index, message] of messages.entries())
    if (message.kind === "text" && message.type === "execution_error")
      shown[index] = { ...message, json: await texts.shownError(message.json) };
  return shown;
}
