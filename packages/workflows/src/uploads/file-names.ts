import { uploadFolder } from "@genga/jobs";

/**
 * The reason why a graph may not contain a text; each reason names what the server would do with the text as a file
 * name.
 */
export type ForbiddenName = "reserved" | "temporary" | "traversal" | "absolute" | "too-long";

/** The place of a text in a graph; `input` is the last part of a dotted name. */
export interface NamePlace {
  classType: string;
  input: string;
}

/**
 * Judges a text as the name of a file, in every way in which servers on Linux, macOS and Windows are known to read one:
 * with a mark such as ` [output]` (PROTOCOL 8), with either slash, with empty and dotted parts, in any case, with a
 * drive letter, and with `%` escapes decoded. A text in an input that does not name a file is judged only if it can
 * hardly be anything but a file name.
 * @returns undefined when a graph may carry it
 */
export function judgeName(text: string, place: NamePlace): ForbiddenName | undefined {
  if (isEncodedText(place)) return undefined;
  const namesFile = isFileInput(place);
  if (text.length > judgedMax) return namesFile && isLongPath(text) ? "too-long" : undefined;
  if (!mayLeadAway(text)) return undefined;
  const verdicts = readingsOf(text).map((reading) => judgeReading(reading, namesFile));
  return forbidden.find((verdict) => verdicts.includes(verdict));
}

const forbidden = ["reserved", "temporary", "traversal", "absolute"] as const;

/**
 * Longer texts, in characters, are not judged: no system opens a file by such a long name, and judging one would take
 * milliseconds. Such texts are stories, programs, or images in base64.
 */
const judgedMax = 100_000;

/** Base64 contains slashes, but none of these patterns. */
function isLongPath(text: string): boolean {
  return (
    /^\s*["']?(?:[\\~]|[a-z]:)|\.\.|%[0-9a-f]{2}/i.test(text) ||
    text.toLowerCase().includes(`${uploadFolder}/`)
  );
}

const fileClass = /load|read|open|import|path|file|folder|director/i;
const fileInput = /file|path|folder|director|image|mask|video|audio|latent|model|mesh|url|name$/i;

function isFileInput({ classType, input }: NamePlace): boolean {
  return fileClass.test(classType) || fileInput.test(input);
}

/** Text encoders turn these texts into conditioning, so no loader receives them as file names. */
function isEncodedText({ classType, input }: NamePlace): boolean {
  return classType.includes("TextEncode") && !fileInput.test(input);
}

/** A fast test that shows for most texts of a graph that they are not dangerous names. */
function mayLeadAway(text: string): boolean {
  return (
    /[\\/%]|\.\.|^\s*["']?[a-z]:|\[temp\]/i.test(text) || visible(text).toLowerCase().includes(uploadFolder)
  );
}

/**
 * Servers choose the names of preview files, with five random letters (`ComfyUI_temp_abcde_00001_.png`), and run those
 * branches of a graph whose files are there: one graph could ask for ten thousand of another tenant's names.
 */
function isTemporary(reading: string, namesFile: boolean): boolean {
  if (!reading.toLowerCase().endsWith("[temp]")) return false;
  return namesFile || /_temp_[a-z]{5}_/i.test(reading);
}

/** HFS+ ignores invisible characters in names, so they cannot tell one name from another. */
function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Default_Ignorable_Code_Point}]/gu, "");
}

const escapeDepthMax = 8;

/** The text itself and the text with its escapes decoded, each with and without its mark. */
function readingsOf(text: string): string[] {
  const readings = [unquoted(visible(text))];
  for (let depth = 0; depth < escapeDepthMax; depth += 1) {
    const last = readings.at(-1) ?? "";
    const next = unquoted(visible(last.replace(/(?:%[0-9a-f]{2})+/gi, unescapeBytes)));
    if (next === last) break;
    readings.push(next);
  }
  return readings.flatMap((reading) => [reading, ...withoutMarks(reading)]);
}

function unescapeBytes(escapes: string): string {
  return Buffer.from(escapes.replaceAll("%", ""), "hex").toString("utf8");
}

/** Some node packs remove the quotes and spaces that people copy along with a path. */
function unquoted(text: string): string {
  return cutEnds(text, (character) => /["'\s]/.test(character));
}

/** Servers cut off a mark together with the one character before it, whatever that character is. */
function withoutMarks(reading: string): string[] {
  const cut: string[] = [];
  let rest = reading;
  for (;;) {
    const mark = ["[input]", "[output]", "[temp]"].find((one) => rest.toLowerCase().endsWith(one));
    if (mark === undefined) return cut;
    const name = rest.slice(0, -mark.length);
    // The cut character may be part of the name, so both readings are judged.
    cut.push(name, (rest = name.slice(0, -1)));
    if (cut.length >= 8) return cut;
  }
}

function judgeReading(reading: string, namesFile: boolean): ForbiddenName | undefined {
  const { parts, climbs } = partsOf(reading);
  const isPath = /[\\/]/.test(reading);
  if (reachesOwnFolders(parts) && (isPath || namesFile)) return "reserved";
  if (isTemporary(reading, namesFile)) return "temporary";
  if (climbs && (isPath || namesFile)) return "traversal";
  const isAbsolute = namesFile
    ? /^(?:[\\/]|file:|~[^\\/]*[\\/])|(?:^|[\\/])[a-z]:/i.test(reading)
    : /^(?:\/|[a-z]:[\\/]|\\\\[\w.-]+\\|file:\/|~[\\/])[^\s,]*$/i.test(reading) &&
      (parts.length > 1 || /\.[a-z0-9]{1,8}$/i.test(reading));
  return isAbsolute ? "absolute" : undefined;
}

/**
 * The parts of a path after `.` and `..` are resolved. Windows drops dots and spaces at the end of a part, and
 * everything after a colon.
 */
function partsOf(path: string): { parts: string[]; climbs: boolean } {
  const parts: string[] = [];
  let climbs = false;
  for (const part of path.toLowerCase().split(/[\\/]/)) {
    // On Windows a drive letter starts a new path, also after a beginning that the server removes (`./C:/x`).
    const drive = /^\s*(?:[a-z]|file):/.exec(part)?.[0] ?? "";
    if (drive !== "") parts.push(drive.trim());
    const name = part.slice(drive.length).trim().replace(/:.*$/s, "");
    if (/^\.\.[. ]*$/.test(name)) {
      climbs = true;
      parts.pop();
      continue;
    }
    const plain = cutEnd(name, (character) => character === "." || character === " ");
    if (plain !== "") parts.push(plain);
  }
  return { parts, climbs };
}

const ownName = /^(?:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/;
const modelFile = /\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)$/;

/**
 * Whether a path leads into the folder that holds uploads and outputs. That folder has one fixed name, directly in a
 * server's input, output and temporary folder. A folder of models may have the same name, because models are read from
 * another place.
 */
function reachesOwnFolders(parts: string[]): boolean {
  return parts.some((part, index) => {
    if (part !== uploadFolder) return false;
    const [next] = parts.slice(index + 1);
    if (next !== undefined && ownName.test(next)) return true;
    const isAtTheTop = index === 0 || /^(?:input|output|temp|.+:)$/.test(parts[index - 1] ?? "");
    return isAtTheTop && !modelFile.test(parts.at(-1) ?? "");
  });
}

function cutEnds(text: string, isCut: (character: string) => boolean): string {
  let start = 0;
  while (start < text.length && isCut(text.charAt(start))) start += 1;
  return cutEnd(text.slice(start), isCut);
}

function cutEnd(text: string, isCut: (character: string) => boolean): string {
  let end = text.length;
  while (end > 0 && isCut(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}
