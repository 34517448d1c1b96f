import { isUploadInput, type InputSpec } from "./object-info.ts";

/**
 * Marks an input whose choices are files on the server, and whose list Genga therefore does not keep. Versions of Genga
 * that do not know the option leave the value to the server, as they do with every option that they do not know.
 */
const filesOption = "files_on_server";

/** Whether the choices of this input are files on the server, so that only the server can judge a name. */
export function isFileList([, options]: InputSpec): boolean {
  return options?.[filesOption] === true;
}

/** Endings of files that people send to a server. Models are not among them. */
const endings =
  "png jpe?g webp gif bmp tiff? avif heic exr hdr svg psd mp4 webm mov mkv avi m4v mp3 wav flac ogg opus m4a aac latent " +
  "glb gltf obj fbx stl ply k?splat spz txt pdf json csv srt zip";
const fileName = new RegExp(`\\.(?:${endings.replaceAll(" ", "|")})$`, "i");

/** Classes whose lists show the input folder or its subfolders, although no option of the input says so (0.28.0). */
const silentLists: readonly (readonly [classType: RegExp, input: string])[] = [
  [/InputFiles$/, "file"],
  [/^Load\w*FromFolder$/, "folder"],
];

type Dict = Record<string, unknown>;

/**
 * Returns `/object_info` without the lists of files that people sent to the server or that the server made (GRAPHS 3).
 * With the lists, each upload would look like a new set of definitions, and a tenant could read the file names of
 * another. An input counts as such a list by its options, by its class, or because its choices contain a file that such
 * a list showed. Such an input becomes a marked `COMBO` without choices.
 */
export function withoutFileLists(objectInfo: Dict): Dict {
  const known = new Set<string>();
  for (const [classType, definition] of Object.entries(objectInfo)) {
    for (const [name, spec] of specsIn(definition)) {
      if (!isFlagged(classType, name, spec)) continue;
      for (const choice of choicesOf(spec)) if (isFileName(choice)) known.add(choice);
    }
  }
  return Object.fromEntries(
    Object.entries(objectInfo).map(([classType, definition]) => [
      classType,
      withoutLists(definition, (name, spec) => {
        return isFlagged(classType, name, spec) || showsKnownFile(choicesOf(spec), known);
      }),
    ]),
  );
}

function isFlagged(classType: string, name: string, spec: unknown[]): boolean {
  const [type, options] = spec;
  const isList = Array.isArray(type) || type === "COMBO";
  if (!isList) return false;
  if (silentLists.some(([pattern, input]) => input === name && pattern.test(classType))) return true;
  const known = isDict(options) ? options : {};
  const remote = known["remote"];
  const route = isDict(remote) ? remote["route"] : undefined;
  return (
    isUploadInput(classType, name, ["COMBO", known]) ||
    known["image_folder"] !== undefined ||
    known[filesOption] === true ||
    (typeof route === "string" && route.includes("/internal/files/"))
  );
}

function showsKnownFile(choices: readonly unknown[], known: ReadonlySet<string>): boolean {
  return choices.some((choice) => isFileName(choice) && known.has(choice));
}

function isFileName(value: unknown): value is string {
  return typeof value === "string" && fileName.test(value);
}

function choicesOf([type, options]: unknown[]): readonly unknown[] {
  if (Array.isArray(type)) return type as unknown[];
  const list = isDict(options) ? options["options"] : undefined;
  return type === "COMBO" && Array.isArray(list) ? (list as unknown[]) : [];
}

/** Real dynamic inputs nest a few levels. Deeper values are not searched for inputs. */
const depthMax = 24;

/** Every input of a class, those within dynamic inputs as well. */
function* specsIn(value: unknown, depth = 0): Generator<[name: string, spec: unknown[]]> {
  if (typeof value !== "object" || value === null || depth > depthMax) return;
  for (const [key, child] of Object.entries(value)) {
    if (isGroup(key, child)) {
      for (const [name, spec] of Object.entries(child)) if (Array.isArray(spec)) yield [name, spec];
    }
    yield* specsIn(child, depth + 1);
  }
}

function isGroup(key: string, value: unknown): value is Dict {
  return (key === "required" || key === "optional") && isDict(value);
}

type IsFiles = (name: string, spec: unknown[]) => boolean;

/** Returns the given value itself if nothing in it changes. */
function withoutLists(value: unknown, isFiles: IsFiles, depth = 0): unknown {
  if (depth > depthMax) return value;
  const within = (child: unknown): unknown => withoutLists(child, isFiles, depth + 1);
  if (Array.isArray(value)) return mapped(value, within);
  if (!isDict(value)) return value;
  return mappedValues(value, (child, key) => {
    if (isGroup(key, child)) {
      return mappedValues(child, (spec, name) =>
        Array.isArray(spec) && isFiles(name, spec) ? emptied(spec) : within(spec),
      );
    }
    if (key !== "output" || !Array.isArray(child)) return within(child);
    return mapped(child, (slot) => (Array.isArray(slot) && isFiles("", [slot]) ? "COMBO" : slot));
  });
}

/** The default is removed too, since it is the name of a file. */
function emptied(spec: unknown[]): unknown[] {
  const [, options] = spec;
  const others = Object.entries(isDict(options) ? options : {}).filter(
    ([option]) => option !== "options" && option !== "default",
  );
  return ["COMBO", { ...Object.fromEntries(others), [filesOption]: true }];
}

function mapped(list: unknown[], change: (item: unknown) => unknown): unknown[] {
  const next = list.map(change);
  return next.some((item, index) => item !== list[index]) ? next : list;
}

function mappedValues(dict: Dict, change: (value: unknown, key: string) => unknown): Dict {
  const entries = Object.entries(dict).map(([key, value]) => [key, value, change(value, key)] as const);
  return entries.some(([, before, after]) => before !== after)
    ? Object.fromEntries(entries.map(([key, , after]) => [key, after]))
    : dict;
}

function isDict(value: unknown): value is Dict {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
