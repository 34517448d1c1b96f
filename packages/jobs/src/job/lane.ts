import { createHash } from "node:crypto";

/**
 * The lane of jobs that earlier versions accepted, and of those that would need more lanes than there may be. It has no
 * row in the table `lanes`; its jobs are judged one by one.
 */
export const defaultLane = "default";

/**
 * What a server must have to run a graph. packages/comfyui, which finds it out, has an interface with the same fields:
 * neither package may import the other.
 */
export interface ServerNeeds {
  /** The checkpoint or diffusion model that the server must load; `null` = the graph loads none. */
  mainModel: string | null;
  /** Node classes, each once, sorted. */
  classTypes: string[];
  /** Model files that the server's lists must have, each once, sorted. */
  models: { classType: string; input: string; name: string }[];
}

/** All jobs of a lane need the same of a server, so the same servers can run them. */
export interface Lane {
  /** A slug that Redis and BullMQ take as it is: `counterfeit_v3-0123456789ab`, `no-model-0123456789ab`. */
  name: string;
  mainModel: string | null;
  needs: Pick<ServerNeeds, "classTypes" | "models"> & {
    /** The labels that the server must have, each once, sorted. */
    labels: string[];
  };
  /** The needs of its jobs are a guess until they are judged by the definitions of servers. Absent = no. */
  isGuessed?: boolean;
}

/** The model's part of a lane's name has at most this many characters. */
const modelCharactersMax = 40;

/** The lane of jobs with these needs, on servers with these labels. */
export function laneOf({ mainModel, classTypes, models }: ServerNeeds, requires: readonly string[]): Lane {
  const labels = [...new Set(requires)].sort();
  const content = [
    mainModel,
    classTypes,
    models.map(({ classType, input, name }) => [classType, input, name]),
    labels,
  ];
  const hash = createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 12);
  return { name: `${slugOf(mainModel)}-${hash}`, mainModel, needs: { classTypes, models, labels } };
}

/** The name of the model's file, without its folder and its ending, in characters that every part of Genga takes. */
function slugOf(mainModel: string | null): string {
  if (mainModel === null) return "no-model";
  const file = mainModel
    .toLowerCase()
    .replace(/^.*[\\/]/, "")
    .replace(/\.[^.]*$/, "");
  const slug = file
    .replace(/[^a-z0-9._-]+/g, "-")
    .slice(0, modelCharactersMax)
    .replace(/^[-._]+|[-._]+$/g, "");
  return slug === "" ? "model" : slug;
}
