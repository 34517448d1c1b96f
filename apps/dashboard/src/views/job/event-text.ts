import { type JobEvent } from "@genga/client";

const texts: Readonly<Record<JobEvent["type"], string>> = {
  accepted: "Accepted",
  claimed: "Taken by a worker",
  submitted: "In the server's own queue",
  executing: "Began to execute",
  saving: "Saving the outputs",
  adopted: "Watched by another worker from now on",
  requeued: "Back in the queue",
  cancel_requested: "Cancel requested",
  retry_requested: "Retry requested",
  paused: "Paused",
  resumed: "Resumed",
  priority_changed: "Priority changed",
  completed: "Completed",
  failed: "Failed",
  timeout: "Timed out",
  cancelled: "Cancelled",
};

/** An event in words, with who did it and why, as far as it says. */
export function textOfEvent({ type, data }: Pick<JobEvent, "type" | "data">): string {
  const text = Object.hasOwn(texts, type) ? texts[type] : type;
  const details = [
    type === "priority_changed" ? fromTo(data) : undefined,
    textAt(data, "code"),
    textAt(data, "by") === undefined ? undefined : `by ${textAt(data, "by")}`,
    data["reusedFrom"] === undefined ? undefined : "with the outputs of an equal job",
  ].filter((detail) => detail !== undefined);
  return details.length === 0 ? text : `${text}: ${details.join(", ")}`;
}

function fromTo(data: JobEvent["data"]): string | undefined {
  const [from, to] = [textAt(data, "from"), textAt(data, "to")];
  return from === undefined || to === undefined ? undefined : `${from} to ${to}`;
}

function textAt(data: JobEvent["data"], name: string): string | undefined {
  const value = data[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

export const isBadEvent = (type: string): boolean => ["failed", "timeout", "requeued"].includes(type);
