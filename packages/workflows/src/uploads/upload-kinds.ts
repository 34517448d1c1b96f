import { fileKindOf, specOf, type FileKind, type ObjectInfo } from "@genga/comfyui";
import { isOfKind, type JobProblem, type Upload } from "@genga/jobs";
import { shownKind } from "../parameters/known-uploads.ts";

/** A node's input that names an upload. */
interface NamingInput {
  nodeId: string;
  classType: string;
  input: string;
}

interface KnowsClasses {
  objectInfo: ObjectInfo;
}

/**
 * The problem of an upload where a node reads another kind of file: a server would notice only when the job runs. Where
 * servers disagree, what one of them reads is right.
 */
export function problemOfKind(
  place: NamingInput,
  upload: Upload,
  servers: readonly KnowsClasses[],
): JobProblem | undefined {
  const { nodeId, classType, input } = place;
  const kinds = servers.length === 0 ? [fileKindOf(classType, input, undefined)] : kindsOn(servers, place);
  const known = kinds.filter((kind) => kind !== undefined);
  if (known.length < kinds.length || known.some((kind) => isRead(kind, upload))) return undefined;
  const [kind] = known;
  if (kind === undefined) return undefined;
  return {
    path: `workflow.${nodeId}.inputs.${input}`.slice(0, 300),
    code: "wrong-kind-of-file",
    message: `Node ${nodeId.slice(0, 200)}: ${input.slice(0, 200)} takes ${inWords[kind]}, and the upload is ${shownKind(upload)}.`,
    nodeId: nodeId.slice(0, 200),
    input: input.slice(0, 200),
    received: upload.mediaType,
    accepted: kind,
  };
}

function kindsOn(
  servers: readonly KnowsClasses[],
  { classType, input }: NamingInput,
): (FileKind | undefined)[] {
  const kinds = servers.flatMap(({ objectInfo }) => {
    const definition = Object.hasOwn(objectInfo, classType) ? objectInfo[classType] : undefined;
    return definition === undefined ? [] : [fileKindOf(classType, input, specOf(definition, input))];
  });
  return [...new Set(kinds)];
}

/** A still picture is no video, whatever its format can hold. */
function isRead(kind: FileKind, { mediaType, frames }: Upload): boolean {
  if (kind === "latent") return false;
  const isStill = mediaType.startsWith("image/") && frames === 1;
  return isOfKind(kind, mediaType) && !(kind === "video" && isStill);
}

const inWords: Record<FileKind, string> = {
  image: "an image",
  video: "a video",
  audio: "a sound",
  latent: "a latent",
};
