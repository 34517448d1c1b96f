import { GengaError } from "@genga/client";
import { messageOf } from "../../connection/api-errors.ts";

/** A refusal of the API, by the fields of the form. */
export interface Refusal {
  readonly title: string;
  /** What is told of each field, by its name. */
  readonly fields: ReadonlyMap<string, string>;
  /** What belongs to no field that is shown; with its node, if it concerns one. */
  readonly others: readonly RefusalLine[];
}

export interface RefusalLine {
  readonly text: string;
  readonly nodeId?: string;
}

/** Where a job stands in the bodies that are sent. */
const places = /^(?:jobs\.\d+|sweep\.base)\./;

/** @param names of the fields that are shown */
export function refusalOf(error: unknown, names: ReadonlySet<string>): Refusal {
  const { title, detail } = messageOf(error);
  const problems = error instanceof GengaError ? error.problems : [];
  if (problems.length === 0)
    return { title, fields: new Map(), others: detail === "" ? [] : [{ text: detail }] };
  const fields = new Map<string, string>();
  const others: RefusalLine[] = [];
  for (const { path, message, nodeId, nodeTitle, input, accepted } of problems) {
    const said = `${message}${acceptedText(accepted)}`;
    const field = fieldOf(path.replace(places, ""), names);
    if (field !== undefined && (nodeId === undefined || field !== graphField)) {
      const before = fields.get(field);
      fields.set(field, before === undefined ? said : `${before}\n${said}`);
    } else if (nodeId === undefined) {
      others.push({ text: path === "" ? said : `${path}: ${said}` });
    } else {
      const node = nodeTitle === undefined ? `Node ${nodeId}` : `Node ${nodeId}, ${nodeTitle}`;
      const place = `${node}${input === undefined ? "" : `, ${input}`}: `;
      // Most messages begin with their node themselves.
      others.push({ nodeId, text: message.startsWith(`Node ${nodeId}`) ? said : `${place}${said}` });
    }
  }
  return { title, fields, others };
}

/** Of a raw graph each node has a line of its own. */
export const graphField = "workflow";

/** The field itself, or the one that it is a part of: `loras.0.name` is told at `loras`. */
function fieldOf(path: string, names: ReadonlySet<string>): string | undefined {
  for (let name = path; name !== ""; name = name.slice(0, Math.max(0, name.lastIndexOf(".")))) {
    if (names.has(name)) return name;
  }
  return undefined;
}

const acceptedMax = 12;

function acceptedText(accepted: unknown): string {
  if (!Array.isArray(accepted) || accepted.length === 0) return "";
  const shown = accepted.slice(0, acceptedMax).map(String).join(", ");
  return ` (accepted: ${shown}${accepted.length > acceptedMax ? `, and ${accepted.length - acceptedMax} more` : ""})`;
}
