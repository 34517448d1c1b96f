import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { LineCounter, parseDocument, type Document } from "yaml";
import { z } from "zod";
import { AddressError, type NamedServer, readServerAddress } from "./comfyui-address.ts";
import { originsOfCredentials, readOrigin } from "./credential-origins.ts";
import { labelPattern, labelsMax, slotsMax } from "./server-labels.ts";

/** The content of a servers file that is good. */
export interface ServersFile {
  readonly servers: readonly NamedServer[];
  /** The values of the header `Authorization`, by the names of the credentials. Secret. */
  readonly authorizations: ReadonlyMap<string, string>;
  /** The origins to which servers of the API may have them sent, by the names of the credentials. */
  readonly origins: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The servers file cannot be used. The message names the line and the field, and quotes nothing of the file. */
export class ServersFileError extends Error {
  override readonly name = "ServersFileError";
}

export interface ServersFileOptions {
  readonly path: string;
  /** For `passwordEnv` and `tokenEnv`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly serverName: string | undefined;
  /** Slots of servers for which the file gives none. */
  readonly slots: number;
  /** Told of each file from which a secret is read, also if that fails, so that it can be watched as well. */
  readonly onSecretFile?: (path: string) => void;
}

const bytesMax = 1_000_000;
const serversMax = 5_000;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: "the name of an environment variable" });
const origins = z.array(z.string()).max(serversMax).optional();
const secretPath = z.string().min(1, { error: "the path of a file" });

const credentialSchema = z.union(
  [
    z.strictObject({
      basic: z.strictObject({
        user: z.string().regex(/^[^:\r\n]*$/, { error: "a user without a colon" }),
        passwordEnv: variable.optional(),
        passwordFile: secretPath.optional(),
      }),
      origins,
    }),
    z.strictObject({
      bearer: z.strictObject({ tokenEnv: variable.optional(), tokenFile: secretPath.optional() }),
      origins,
    }),
  ],
  {
    error:
      "basic: {user, passwordEnv or passwordFile} or bearer: {tokenEnv or tokenFile}; the secret itself stays in the " +
      "environment or in a file of its own",
  },
);
type Credential = z.infer<typeof credentialSchema>;

const serverSchema = z.strictObject({
  url: z.string(),
  slots: z
    .int({ error: `a whole number from 1 to ${slotsMax}` })
    .min(1)
    .max(slotsMax)
    .optional(),
  labels: z
    .array(
      z.string().regex(labelPattern, {
        error:
          "1 to 64 lower-case letters, digits, dots, hyphens or underscores, in one or two parts (gpu:24gb)",
      }),
    )
    .max(labelsMax, { error: `at most ${labelsMax} labels` })
    .default([]),
  credential: z.string().optional(),
});

const fileSchema = z.strictObject({
  credentials: z
    .record(
      z
        .string()
        .regex(namePattern, { error: "a name of up to 64 letters, digits, dots, hyphens, underscores" }),
      credentialSchema,
    )
    .default({}),
  servers: z.array(serverSchema).max(serversMax, { error: `at most ${serversMax} servers` }),
});

type Path = readonly (string | number)[];

/** Names the place of a mistake, by line and field. */
type Mistake = (path: Path, message: string) => ServersFileError;

/**
 * Reads the servers file (YAML, and so also JSON), and the secrets to which it refers.
 * @throws ServersFileError
 */
export async function readServersFile(options: ServersFileOptions): Promise<ServersFile> {
  const { path } = options;
  const { value, mistake } = parse(path, await textOf(path));
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const path = (issue?.path ?? []) as Path;
    const [unknown] = issue?.code === "unrecognized_keys" ? issue.keys : [];
    if (unknown !== undefined) throw mistake([...path, unknown], "there is no such field");
    throw mistake(path, issue?.message ?? "not a servers file");
  }
  const { credentials } = parsed.data;
  const servers = parsed.data.servers.map((server, index) =>
    namedServer(server, {
      ...options,
      mistake: (field, message) => mistake(["servers", index, ...field], message),
    }),
  );
  requireEachOnce(servers, mistake);
  const authorizations = new Map<string, string>();
  const listed = new Map<string, string[]>();
  for (const [name, credential] of Object.entries(credentials)) {
    authorizations.set(
      name,
      await authorizationOf(credential, ["credentials", name], { ...options, mistake }),
    );
    listed.set(name, originsOf(credential, ["credentials", name, "origins"], mistake));
  }
  for (const [index, { credential }] of servers.entries()) {
    if (credential === null || authorizations.has(credential)) continue;
    throw mistake(["servers", index, "credential"], "no credentials in this file have this name");
  }
  return { servers, authorizations, origins: originsOfCredentials(listed, servers) };
}

async function textOf(path: string): Promise<string> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length <= bytesMax) return text;
  } catch (error) {
    throw new ServersFileError(`${path} cannot be read (${codeOf(error)})`, { cause: error });
  }
  throw new ServersFileError(`${path} is larger than ${bytesMax} bytes`);
}

function parse(path: string, text: string): { value: unknown; mistake: Mistake } {
  const lineCounter = new LineCounter();
  // Pretty messages would quote the file.
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const lineAt = (offset: number): string => `${path}, line ${lineCounter.linePos(offset).line}`;
  const [error] = document.errors;
  if (error !== undefined)
    throw new ServersFileError(`${lineAt(error.pos[0])}: not YAML or JSON (${error.code})`);
  const mistake: Mistake = (field, message) => {
    const name = field.map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`)).join("");
    const place = name === "" ? "the file" : name.replace(/^\./, "");
    return new ServersFileError(`${lineAt(offsetOf(document, field))}: ${place}: ${message}`);
  };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (cause) {
    throw new ServersFileError(`${path}: its aliases cannot be followed`, { cause });
  }
  // A program that is about to write the file has emptied it first. To have no servers, say `servers: []`.
  if (value === null || value === undefined)
    throw new ServersFileError(`${path} is empty; no servers are: servers: []`);
  return { value, mistake };
}

/** Where the field is in the text, or else the nearest part of the document that contains it. */
function offsetOf(document: Document.Parsed, field: Path): number {
  for (let length = field.length; length > 0; length -= 1) {
    const node: unknown = document.getIn(field.slice(0, length), true);
    const range = typeof node === "object" && node !== null && "range" in node ? node.range : undefined;
    if (Array.isArray(range) && typeof range[0] === "number") return range[0];
  }
  return document.contents?.range[0] ?? 0;
}

function namedServer(
  { url, slots, labels, credential }: z.infer<typeof serverSchema>,
  options: ServersFileOptions & { mistake: Mistake },
): NamedServer {
  const address = addressOf(url, options);
  if (address.credentials !== undefined) {
    throw options.mistake(
      ["url"],
      "without user and password; name credentials of this file in `credential`",
    );
  }
  return {
    address,
    slots: slots ?? options.slots,
    labels: [...new Set(labels)].sort(),
    source: "file",
    credential: credential ?? null,
    resolvedFrom: null,
  };
}

function addressOf(url: string, options: ServersFileOptions & { mistake: Mistake }): NamedServer["address"] {
  try {
    return readServerAddress(url, options.serverName);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw options.mistake(
      ["url"],
      "a URL of at most 2000 characters that begins with http:// or https://, without a query or a fragment; dns+ before " +
        "it makes its host name stand for a server at each of its addresses",
    );
  }
}

function requireEachOnce(servers: readonly NamedServer[], mistake: Mistake): void {
  const known = new Map<string, number>();
  for (const [index, { address }] of servers.entries()) {
    const earlier = known.get(address.identity);
    if (earlier !== undefined)
      throw mistake(["servers", index, "url"], `the same server as servers[${earlier}]`);
    known.set(address.identity, index);
  }
}

function originsOf({ origins = [] }: Credential, path: Path, mistake: Mistake): string[] {
  return origins.map((text, index) => {
    const origin = readOrigin(text);
    if (origin !== undefined) return origin;
    throw mistake(
      [...path, index],
      "an origin: http:// or https://, a host and perhaps a port, nothing else",
    );
  });
}

async function authorizationOf(
  credential: Credential,
  path: Path,
  options: ServersFileOptions & { mistake: Mistake },
): Promise<string> {
  if ("bearer" in credential) {
    const { tokenEnv, tokenFile } = credential.bearer;
    const token = await secretOf(
      { variable: tokenEnv, file: tokenFile },
      [...path, "bearer"],
      "token",
      options,
    );
    return `Bearer ${token}`;
  }
  const { user, passwordEnv, passwordFile } = credential.basic;
  const from = { variable: passwordEnv, file: passwordFile };
  const password = await secretOf(from, [...path, "basic"], "password", options);
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/** The secret, without the line break at the end of its file. */
async function secretOf(
  { variable: name, file }: { variable: string | undefined; file: string | undefined },
  path: Path,
  what: "password" | "token",
  { path: serversFile, env, mistake, onSecretFile }: ServersFileOptions & { mistake: Mistake },
): Promise<string> {
  if ((name === undefined) === (file === undefined)) {
    throw mistake(path, `either ${what}Env (a variable) or ${what}File (a file)`);
  }
  const field = [...path, name === undefined ? `${what}File` : `${what}Env`];
  let secret: string | undefined;
  if (name !== undefined) secret = env[name];
  else if (file !== undefined) {
    const secretFile = resolve(dirname(serversFile), file);
    onSecretFile?.(secretFile);
    try {
      secret = (await readFile(secretFile, "utf8")).replace(/\r?\n$/, "");
    } catch (error) {
      throw mistake(field, `the file cannot be read (${codeOf(error)})`);
    }
  }
  if (secret === undefined || secret === "") throw mistake(field, "the secret is not set, or empty");
  // Another character would end the header, or cannot be sent in one.
  const accepted = what === "token" ? /^[\x21-\x7e]{1,8192}$/ : /^[^\0\r\n]{1,8192}$/;
  if (!accepted.test(secret)) throw mistake(field, "the secret has characters that no header can contain");
  return secret;
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unreadable";
}
