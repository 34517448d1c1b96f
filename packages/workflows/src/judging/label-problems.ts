import { type JobProblem } from "@genga/jobs";

interface Labelled {
  labels?: readonly string[];
}

/** No known server has all labels that the job requires. */
export function problemOfLabels(requires: readonly string[], servers: readonly Labelled[]): JobProblem {
  const known = [...new Set(servers.flatMap(({ labels = [] }) => labels))].sort();
  const unknown = requires.filter((label) => !known.includes(label));
  const missing =
    unknown.length > 0
      ? `has the label ${unknown.join(", ")}`
      : `has all of the labels ${requires.join(", ")}`;
  const existing = known.length === 0 ? "No server has labels." : `Labels of servers: ${known.join(", ")}.`;
  return {
    path: "requires",
    code: "unknown-label",
    message: `No known server ${missing}. ${existing}`,
    received: [...requires],
    accepted: known,
  };
}

/** The servers with the labels cannot run the job, and others could. */
export function problemOfLabelledServers(requires: readonly string[]): JobProblem {
  return {
    path: "requires",
    code: "unknown-label",
    message: `Only servers without the labels ${requires.join(", ")} can run this.`,
    received: [...requires],
  };
}
